# SPDX-License-Identifier: Apache-2.0
"""Metrics of one process and of several, and that the dashboard and the documentation name exactly these."""

import json
import os
import pathlib
import re
import subprocess
import sys

import fixtures
import testtools
from prometheus_client.metrics import MetricWrapperBase

from trio2o import metrics
from trio2o.metrics.database import _families
from trio2o.tests.fixtures.metrics import samples
from trio2o.tests.fixtures.wsgi import get

TOP = pathlib.Path(__file__).resolve().parents[3]
DASHBOARD = TOP / 'etc' / 'grafana' / 'trio2o.json'
DOCUMENTATION = TOP / 'doc' / 'source' / 'admin' / 'monitoring.rst'

#: Three children count, and two of them exit; then the parent, which also counts, answers a scrape.
FORKING = """
import os, sys
from trio2o import metrics
from trio2o.tests.fixtures.wsgi import get
children = []
reader, writer = os.pipe()
for number in range(3):
    child = os.fork()
    if child == 0:
        for _ in range(number + 1):
            metrics.request_answered('api', 'pods.list', '200', 0.01)
        metrics.breaker_turned('Pod1', 'compute', is_open=True)
        metrics.fanned_out(2)
        if number < 2:
            os._exit(0)
        os.write(writer, b'.')
        sys.stdin.read()
        os._exit(0)
    children.append(child)
for child in children[:2]:
    os.waitpid(child, 0)
os.read(reader, 1)
metrics.request_answered('api', 'pods.list', '200', 0.01)
print(get(metrics.application(), '/metrics').text)
"""


def counted():
    return {metric._name: metric for metric in vars(metrics).values() if isinstance(metric, MetricWrapperBase)}


def names():
    """The names of all series, without labels."""
    found = set()
    for name, metric in counted().items():
        suffixes = {'counter': ['_total'], 'histogram': ['_bucket', '_count', '_sum'], 'gauge': ['']}[metric._type]
        found |= {name + suffix for suffix in suffixes}
    return found | {family.name for family in _families().values()}


class TestSeveralProcesses(testtools.TestCase):
    def test_each_process_reports_sum_over_processes(self):
        directory = os.path.join(self.useFixture(fixtures.TempDir()).path, 'not', 'yet')
        ended = subprocess.run(
            [sys.executable, '-c', FORKING],
            env={**os.environ, metrics.DIRECTORY: directory},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        self.assertEqual(0, ended.returncode, ended.stderr)
        found = samples(ended.stdout)
        row = (('operation', 'pods.list'), ('service', 'api'))
        self.assertEqual(7, found['trio2o_http_requests_total', (row[0], row[1], ('status', '200'))])
        self.assertEqual(7, found['trio2o_http_request_seconds_count', row])
        self.assertEqual(3, found['trio2o_fanout_pods_count', ()])
        # The breakers of processes that have exited do not count.
        live = found.get(('trio2o_breaker_open', (('pod', 'Pod1'), ('service', 'compute'))), 0)
        self.assertLess(live, 2)

    def test_missing_directory_is_no_error(self):
        self.useFixture(fixtures.EnvironmentVariable(metrics.DIRECTORY, '/nowhere/at/all'))
        self.assertEqual(200, get(metrics.application(), '/metrics').status)


class TestExposition(testtools.TestCase):
    def test_deleted_pod_has_no_breaker_series(self):
        metrics.breaker_turned('Gone', 'compute', is_open=True)
        metrics.breaker_turned('Here', 'compute', is_open=True)
        text = get(metrics.application(is_called=lambda name: name == 'Here'), '/metrics').text
        self.assertEqual(1, samples(text)['trio2o_breaker_open', (('pod', 'Here'), ('service', 'compute'))])
        self.assertNotIn('Gone', text)

    def test_metrics_are_selected_by_name(self):
        metrics.fanned_out(3)
        found = samples(get(metrics.application(), '/metrics', QUERY_STRING='name[]=trio2o_fanout_pods_count').text)
        self.assertEqual({'trio2o_fanout_pods_count'}, {name for name, _labels in found})

    def test_metrics_have_no_created_series(self):
        metrics.request_answered('api', 'pods.list', '200', 0.01)
        self.assertNotIn('_created', get(metrics.application(), '/metrics').text)


class TestDashboard(testtools.TestCase):
    def setUp(self):
        super().setUp()
        with open(DASHBOARD) as file:
            self.document = json.load(file)

    def expressions(self):
        for panel in self.document['panels']:
            for target in panel.get('targets', []):
                yield panel['title'], target['expr']
        for variable in self.document['templating']['list']:
            if variable['type'] == 'query':
                yield variable['name'], variable['definition']

    def test_panels_use_existing_metrics(self):
        for title, expression in self.expressions():
            used = set(re.findall(r'\btrio2o_\w+', expression))
            self.assertTrue(used, title)
            self.assertEqual(set(), used - names(), title)

    def test_panels_use_each_metric(self):
        text = ' '.join(expression for _title, expression in self.expressions())
        used = set(re.findall(r'\btrio2o_\w+', text))
        missing = [name for name in counted() if not any(series.startswith(name) for series in used)]
        missing += [family.name for family in _families().values() if family.name not in used]
        self.assertEqual([], missing)

    def test_panels_use_labels_of_metric(self):
        labels = {name: set(metric._labelnames) for name, metric in counted().items()}
        labels |= {family.name: set(family._labelnames) for family in _families().values()}
        for title, expression in self.expressions():
            for name, inner in re.findall(r'\b(trio2o_\w+){([^}]*)}', expression):
                base = name if name in labels else re.sub('_(total|bucket|count|sum)$', '', name)
                asked = set(re.findall(r'(\w+)\s*[=!]', inner))
                self.assertEqual(set(), asked - labels[base], title)

    def test_expressions_and_positions_are_valid(self):
        ids = [panel['id'] for panel in self.document['panels']]
        self.assertEqual(len(ids), len(set(ids)))
        for title, expression in self.expressions():
            for opening, closing in ('()', '[]', '{}'):
                self.assertEqual(expression.count(opening), expression.count(closing), title)
        for panel in self.document['panels']:
            place = panel['gridPos']
            self.assertLessEqual(place['x'] + place['w'], 24, panel['title'])

    def test_panels_do_not_overlap(self):
        taken = set()
        for panel in self.document['panels']:
            place = panel['gridPos']
            cells = {
                (x, y)
                for x in range(place['x'], place['x'] + place['w'])
                for y in range(place['y'], place['y'] + place['h'])
            }
            self.assertEqual(set(), taken & cells, panel['title'])
            taken |= cells


class TestDocumentation(testtools.TestCase):
    def test_page_names_exactly_the_metrics(self):
        text = DOCUMENTATION.read_text()
        named = set(re.findall(r'``(trio2o_\w+)``', text))
        every = {name + ('_total' if metric._type == 'counter' else '') for name, metric in counted().items()} | {
            family.name for family in _families().values()
        }
        self.assertEqual(every, named)
