# SPDX-License-Identifier: Apache-2.0
"""Escaped characters of a path were sent decoded: ``%3F`` began a query, and ``..`` led to another path."""

from urllib.parse import quote

from trio2o.tests.functional.operations.base import ConversationTest


class Listening:
    """A transport that records the URLs."""

    def __init__(self, transport):
        self.transport, self.urls = transport, []

    def request(self, method, url, *args):
        self.urls.append(url)
        return self.transport.request(method, url, *args)


class TestEscapes(ConversationTest):
    def test_escaped_metadata_key_reaches_pod(self):
        (server,) = self.cloud.lab.add_servers('Pod2', 'demo')
        keys = ['a?b', 'a#b', 'a b', 'é', 'a%b', 'a&b=c', 'a;b', '☃', '..', '.', 'a:b', "a'b"]
        server['metadata'] = {key: f'value of {key}' for key in keys}
        for key in keys:
            answer = self.nova.get(f'/servers/{server["id"]}/metadata/{quote(key, safe="").replace(".", "%2E")}')
            self.assertEqual({key: f'value of {key}'}, answer.json.get('meta'), answer.text)

    def test_escaped_characters_stay_escaped_in_url(self):
        (server,) = self.cloud.lab.add_servers('Pod2', 'demo')
        client = self.cloud.runtime.client
        client._transport = listening = Listening(client._transport)
        for odd in ('%0D%0AHost:%20x', '%00', '%3Fa=b', '%23', '%2E%2E', '%2E%2E%2E', '%7F', '%C3%A9', '%0A', '%09'):
            self.nova.delete(f'/servers/{server["id"]}/tags/{odd}', version='2.26')
            url = listening.urls[-1]
            self.assertRegex(url, r'^http://pod2\.nova\.test:8774/v2\.1/servers/[0-9a-f-]+/tags/[!-~]+$')
            self.assertNotRegex(url, r'[?#]|/\.\.?$')
            self.assertEqual(
                odd.replace('a=b', 'a=b').upper().replace(':', ''),
                url.rpartition('/')[2].upper().replace(':', '').replace('...', '%2E%2E%2E'),
            )
