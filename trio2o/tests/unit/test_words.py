# SPDX-License-Identifier: Apache-2.0
"""Words that code and documentation do not use, because a reader has to learn them or because they have two meanings.

Use the word of Nova, Cinder or Placement, or one that ``doc/source/glossary.rst`` defines. The two tables below give
it for each old word. A word in ``NAMES`` is refused as a name, or as a part of one between underscores or capitals:
``pins``, ``known_pins``, ``HasPins``. An expression in ``TEXT`` is refused in docstrings, comments, strings and pages.

The name of a test states a condition and a result: ``test_create_over_quota_is_refused_with_403``. ``TEST_NAMES`` and
``TEST_CLASSES`` refuse names that a reader cannot understand without the body: ``test_of_a_change``, ``TestARefusal``.
"""

import ast
import functools
import io
import pathlib
import re
import tokenize

import testtools

CHECKOUT = pathlib.Path(__file__).resolve().parents[3]

#: Part of a name -> what to call it instead.
NAMES = {
    'pins': 'affinity_refs',
    'near': 'soft_affinity_refs',
    'needs': 'requested',
    'joins': 'prepared_in',
    'fewer': 'with_count',
    'siblings': 'batch_query',
    'shrinks': 'QuotaEffect.RELEASES',
    'silent': 'unreachable',
    'resting': 'in maintenance',
    'unwell': 'error answer',
    'skeleton': 'partial_record',
    'skeletons': 'partial_records',
    'mend': 'repair',
    'mended': 'repaired',
    'lift': 'set to unlimited',
    'lifted': 'set to unlimited',
    'told': 'the name of what was answered or reported',
    'meeting': 'JoinResult',
    'twin': 'copy',
    'twins': 'copies',
    'twinned': 'copies',
}
#: Names of several words.
PHRASES = {'too_many': 'over_quota_error', 'stand_in': 'fallback_answer'}

#: What a text must not contain -> what to write instead.
TEXT = {
    r'twin(s|ned)?': 'server group copy',
    r'mend(s|ed|ing)?': 'repair, correct',
    r'(?<!fork)lift(s|ed|ing)?': 'set to unlimited',
    r'unwell': 'unreachable, error answer',
    r'skeletons?': 'partial record',
    r'stand-ins?': 'fallback answer',
    r'siblings?': 'further servers of the request',
    r'(known_)?pins': 'affinity references',
    r'anew': 'again',
    # Services report, return and answer; a text tells a reader, a user tells a service.
    r'(pods?|Keystone|Nova|Cinder|Placement|services?|gateways?|jobs?) (tells?|told)': 'reports, returns',
    r'(is|are|was|were|be|been) told': 'is given, is configured with; reads',
}

#: Most texts contain none. It also finds those whose words are on two lines of a comment.
_ANY_TEXT = re.compile(rf'\b(?:{"|".join(TEXT)})\b'.replace(' ', r'[\s#"\'\\]+'))
#: In most modules only comments contain them, or nothing does.
_ANY_NAME = re.compile('|'.join([*NAMES, *PHRASES]), re.IGNORECASE)

#: Names of tests that do not say what is tested.
TEST_NAMES = (
    # One or two words name a subject and no result.
    r'test_[^_]+(_[^_]+)?',
    r'test_(an?|also|and|as|but|by|it|its|of|or|the|they|what|where|which|who|whoever)_.*',
    r'.*_(anew|anybody|away|behind_our_back|born|nobody|told|tells|whatever)(_.*)?',
)
TEST_CLASSES = (
    r'Test(A|An|Any|By|It|Of|The|They|What|Where|Who)(?=[A-Z]).*',
    r'.*(Anybody|Nobody|Whatever)([A-Z].*)?',
)

#: Path below the checkout -> what it may say. Everything else is refused.
EXCEPTIONS = {
    # This module has to name the words.
    'trio2o/tests/unit/test_words.py': {*NAMES, *PHRASES, *TEXT},
}


@functools.cache
def files(pattern):
    tops = (CHECKOUT / 'trio2o', CHECKOUT / 'doc' / 'source')
    return sorted(
        path for top in tops for path in top.rglob(pattern) if not {'build', '__pycache__'} & set(path.parts)
    )


def names_in(source):
    """(line, name) of what a module with an old word names itself: not keys of dictionaries, which belong to APIs.

    The name of a test is a sentence, in which many of the words are plain English: ``test_pod_joins_under_traffic``.
    """
    if not _ANY_NAME.search(source):
        return
    for node in ast.walk(ast.parse(source)):
        for field in ('id', 'attr', 'arg', 'name'):
            name = getattr(node, field, None)
            if isinstance(name, str) and not name.startswith('test_'):
                yield getattr(node, 'lineno', 0), name


def parts_of(name):
    """``known_pins`` and ``HasPins`` are the words known, pins and has, pins."""
    return [part.lower() for part in re.findall(r'[A-Z]?[a-z]+|[A-Z]+(?![a-z])', name)]


@functools.cache
def old_names(name):
    found = {part for part in parts_of(name) if part in NAMES}
    return found | {phrase for phrase in PHRASES if re.search(rf'(^|_){phrase}(_|$)', name.lower())}


def old_text(text):
    if not _ANY_TEXT.search(text):
        return set()
    return {pattern for pattern in TEXT if re.search(rf'\b(?:{pattern})\b', text)}


def texts_in(source):
    """(line, text) of comments and strings, if they may contain old expressions."""
    if not _ANY_TEXT.search(source):
        return
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type in (tokenize.COMMENT, tokenize.STRING):
            yield token.start[0], token.string


def riddles_in(source):
    """Names of tests and of their classes that ``TEST_NAMES`` and ``TEST_CLASSES`` refuse."""
    found = []
    for case in ast.walk(ast.parse(source)):
        if isinstance(case, ast.ClassDef):
            tests = [item.name for item in case.body if isinstance(item, ast.FunctionDef)]
            found += [name for name in tests if name.startswith('test_') and matches(TEST_NAMES, name)]
            found += [case.name] if matches(TEST_CLASSES, case.name) else []
    return found


def matches(patterns, name):
    return any(re.fullmatch(pattern, name) for pattern in patterns)


class TestWords(testtools.TestCase):
    def report(self, found):
        wrong = []
        for path, line, word, instead in found:
            name = str(path.relative_to(CHECKOUT))
            if word not in EXCEPTIONS.get(name, ()):
                wrong.append(f'{name}:{line}: {word} -> {instead}')
        self.assertEqual([], sorted(set(wrong)))

    def test_names_have_no_old_words(self):
        self.report(
            (path, line, word, (NAMES | PHRASES)[word])
            for path in files('*.py')
            for line, name in names_in(path.read_text())
            for word in old_names(name)
        )

    def test_texts_of_modules_have_no_old_words(self):
        self.report(
            (path, line, word, TEXT[word])
            for path in files('*.py')
            for line, text in texts_in(path.read_text())
            for word in old_text(' '.join(text.split()))
        )

    def test_pages_have_no_old_words(self):
        self.report(
            (path, number, word, TEXT[word])
            for suffix in ('*.rst', '*.html')
            for path in files(suffix)
            for number, line in enumerate(path.read_text().splitlines(), 1)
            for word in old_text(line)
        )


class TestTests(testtools.TestCase):
    def test_names_state_condition_and_result(self):
        wrong = []
        for path in files('test_*.py'):
            if path.is_relative_to(CHECKOUT / 'trio2o' / 'tests'):
                wrong += [f'{path.relative_to(CHECKOUT)}: {name}' for name in riddles_in(path.read_text())]
        self.assertEqual([], wrong)


class TestSearch(testtools.TestCase):
    """The functions that find the words."""

    def test_old_words_are_found_in_names(self):
        self.assertEqual({'pins'}, old_names('known_pins'))
        self.assertEqual({'shrinks'}, old_names('SHRINKS'))
        self.assertEqual({'twin'}, old_names('TwinState'))
        self.assertEqual({'too_many'}, old_names('_too_many'))
        self.assertEqual(set(), old_names('nearest'))
        self.assertEqual(set(), old_names('pinned_availability_zone'))

    def test_old_words_are_found_in_texts(self):
        self.assertEqual({r'twin(s|ned)?'}, old_text('the twins of a group'))
        self.assertEqual({r'(is|are|was|were|be|been) told'}, old_text('what pods are told'))
        self.assertEqual(set(), old_text('recommended'))

    def test_riddles_are_found_in_names_of_tests(self):
        for name in ('create', 'far_ahead', 'a_change_reaches_all', 'what_is_left', 'pod_that_is_away'):
            self.assertEqual([f'test_{name}'], riddles_in(f'class TestX:\n    def test_{name}(self):\n        pass\n'))
        for name in ('ARefusal', 'ByHand', 'BeforeAnybodyJoined'):
            self.assertEqual([f'Test{name}'], riddles_in(f'class Test{name}:\n    pass\n'))
        good = 'class TestAffinity:\n    def test_create_over_quota_is_refused_with_403(self):\n        pass\n'
        self.assertEqual([], riddles_in(good))
