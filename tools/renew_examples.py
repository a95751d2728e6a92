#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Write the diffs in doc/source/contributor/examples again, after a change of the code that they touch.

    tools/renew_examples.py            renew the diffs that do not apply any more
    tools/renew_examples.py NAME...    renew these, such as filter.diff

A diff is merged with the code, changes that are not committed included, as in ``git merge``. If git cannot merge it,
the worktree with the conflicts stays in build/examples, and the output says how to continue. The working tree does not
change, except for the diffs.
"""

import argparse
import pathlib
import subprocess
import sys

TOP = pathlib.Path(__file__).resolve().parents[1]
EXAMPLES = pathlib.Path('doc', 'source', 'contributor', 'examples')
#: Diffs of changes that the tree contains. They apply in reverse.
APPLIED = ('replicated-kind.diff',)
#: Lines of context: few, so that fewer changes of the code make a diff old.
CONTEXT = '-U2'


def git(folder: pathlib.Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(['git', *arguments], cwd=folder, capture_output=True, text=True, check=False)


def reverse(path: pathlib.Path) -> list[str]:
    """Return git's option for a diff that applies in reverse."""
    return ['-R'] if path.name in APPLIED else []


def problem(top: pathlib.Path, path: pathlib.Path) -> str:
    """Return the reason why a diff does not apply; empty if it does."""
    done = git(top, 'apply', '--check', *reverse(path), str(path))
    return done.stderr if done.returncode else ''


def renew(top: pathlib.Path, path: pathlib.Path) -> str:
    """Write a diff again.

    :returns: instructions if git cannot merge the diff with the code; empty if it can
    """
    # A commit of the working tree, so that the diff fits to it; empty if nothing was changed.
    tree = git(top, 'stash', 'create').stdout.strip() or 'HEAD'
    worktree = top / 'build' / 'examples' / path.stem
    git(top, 'worktree', 'remove', '--force', str(worktree))
    made = git(top, 'worktree', 'add', '--detach', '--force', str(worktree), tree)
    if made.returncode:
        return made.stderr
    # After -R, so that a diff of a change that the tree contains reads forwards.
    options = ['--cached', CONTEXT, *reverse(path)]
    done = git(worktree, 'apply', '--3way', *reverse(path), str(path))
    if done.returncode:
        return (
            f'{path.name}: {done.stderr}Resolve the conflicts in {worktree}, and then run there:\n'
            f'  git add --all && git diff {" ".join(options)} >{path} && git worktree remove --force {worktree}'
        )
    path.write_text(git(worktree, 'diff', *options).stdout)
    git(top, 'worktree', 'remove', '--force', str(worktree))
    return ''


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('names', nargs='*', metavar='NAME')
    names = parser.parse_args().names
    folder = TOP / EXAMPLES
    paths = [folder / name for name in names] or [path for path in sorted(folder.glob('*.diff')) if problem(TOP, path)]
    status = 0
    for path in paths:
        instructions = renew(TOP, path)
        print(instructions or f'renewed {path.name}')
        status |= bool(instructions)
    return status


if __name__ == '__main__':
    sys.exit(main())
