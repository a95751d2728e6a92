#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Write the diffs in doc/source/contributor/examples again, after a change of the code that they touch.

    tools/renew_examples.py            renew the diffs that do not apply any more
    tools/renew_examples.py NAME...    renew these, such as filter.diff

A diff is merged with the code, changes that are not committed included, as in ``git merge``. Where git cannot merge a
file into which the diff only inserts lines, each of these still follows the line before it, or precedes the line after
it. If that is not possible either, the worktree with the conflicts stays in build/examples, and the output says how to
continue. The working tree does not change, except for the diffs.
"""

import argparse
import pathlib
import re
import subprocess
import sys

TOP = pathlib.Path(__file__).resolve().parents[1]
EXAMPLES = pathlib.Path('doc', 'source', 'contributor', 'examples')
#: Diffs of changes that the tree contains. They apply in reverse.
APPLIED = ('replicated-kind.diff',)
#: Lines of context: few, so that fewer changes of the code make a diff old.
CONTEXT = '-U2'


def git(folder: pathlib.Path, *arguments: str, text: str = '') -> subprocess.CompletedProcess[str]:
    """Run git with a text on its standard input."""
    return subprocess.run(['git', *arguments], cwd=folder, input=text, capture_output=True, text=True, check=False)


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
    options = ['--cached', CONTEXT]
    if reverse(path):
        # A diff of a change that the tree contains reads forwards. -R swaps the prefixes, too.
        options += ['-R', '--src-prefix=b/', '--dst-prefix=a/']
    errors = ''.join(_apply(worktree, section, reverse(path)) for section in _sections(path.read_text()))
    if errors:
        return (
            f'{path.name}: {errors}Resolve the conflicts in {worktree}, and then run there:\n'
            f'  git add --all && git diff {" ".join(options)} >{path} && git worktree remove --force {worktree}'
        )
    path.write_text(git(worktree, 'diff', *options).stdout)
    git(top, 'worktree', 'remove', '--force', str(worktree))
    return ''


def _sections(diff: str) -> list[str]:
    """Split a diff into those of the single files."""
    return [section for section in re.split('^(?=diff --git )', diff, flags=re.MULTILINE) if section]


def _apply(worktree: pathlib.Path, section: str, options: list[str]) -> str:
    """Apply the diff of one file.

    :returns: the error; empty if the diff is applied
    """
    done = git(worktree, 'apply', '--3way', *options, text=section)
    if not done.returncode:
        return ''
    name = section.split(maxsplit=3)[2].removeprefix('a/')
    lines = git(worktree, 'show', f'HEAD:{name}').stdout.splitlines(keepends=True)
    merged = _without_insertions(lines, section) if options else _with_insertions(lines, section)
    if merged is None:
        return done.stderr
    (worktree / name).write_text(''.join(merged))
    git(worktree, 'add', name)
    return ''


def _with_insertions(lines: list[str], section: str) -> list[str] | None:
    """Return the lines of a file and those that a diff inserts; None if it does more, or if a place is not certain."""
    for before, inserted, after in _insertions(section):
        if lines.count(before) == 1:
            place = lines.index(before) + 1
        elif lines.count(after) == 1:
            place = lines.index(after)
        else:
            return None
        lines = lines[:place] + inserted + lines[place:]
    return lines if _inserts_only(section) else None


def _without_insertions(lines: list[str], section: str) -> list[str] | None:
    """Return the lines of a file without those that a diff inserts, or None: the reverse of ``_with_insertions``."""
    for _before, inserted, _after in _insertions(section):
        places = [i for i in range(len(lines)) if lines[i : i + len(inserted)] == inserted]
        if len(places) != 1:
            return None
        lines = lines[: places[0]] + lines[places[0] + len(inserted) :]
    return lines if _inserts_only(section) else None


def _insertions(section: str) -> list[tuple[str, list[str], str]]:
    """Return the line before, the inserted lines and the line after, for each place at which a diff inserts lines."""
    found = []
    before, inserted = '', []
    for line in [*_hunks(section), '@@']:
        if line.startswith('+'):
            inserted.append(line[1:])
            continue
        if inserted:
            found.append((before, inserted, line[1:]))
        before, inserted = line[1:], []
    return found


def _inserts_only(section: str) -> bool:
    return not any(line.startswith('-') for line in _hunks(section))


def _hunks(section: str) -> list[str]:
    """Return the lines from the first hunk on."""
    return section[section.find('\n@@') + 1 :].splitlines(keepends=True)


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
