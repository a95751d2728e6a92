# SPDX-License-Identifier: Apache-2.0
"""Decide whether a service of a pod sent an answer, or something in front of it.

A balancer, an ingress without a backend, another virtual host and a web server without its application all answer 404.
So does a wrong path in Keystone's catalog. Only an error in the form of the service itself proves that it does not
have a resource, or that it did not carry out a write.
"""

from __future__ import annotations

from trio2o.web import json_body
from trio2o.web.call import Answer

#: Keys of an error body of Nova and Cinder for 404.
_FAULTS = ('itemNotFound', 'computeFault')

#: In the answer of WebOb, as HTML, text or JSON, to a path that is not in the router of Nova or Cinder.
_WEBOB = (b'404 Not Found', b'The resource could not be found.')


def is_missing(answer: Answer) -> bool:
    """Return whether an answer proves that the resource in the path does not exist: a 404 in the words of the service.

    The 404 of the service's router proves nothing, as the path of the endpoint in the catalog may be wrong.
    """
    if answer.status != 404 or not _is_json(answer):
        return False
    document = answer.json
    if any(json_body.at(document, name, 'code') == 404 for name in _FAULTS):
        return True
    # Placement follows the API guideline on errors.
    return any(error.get('status') == 404 for error in json_body.objects_at(document, 'errors'))


def is_unavailable(answer: Answer) -> bool:
    """Return whether a service itself refused a request with 503: its API, or the check of the token before it."""
    document = answer.json
    if answer.status != 503 or not isinstance(document, dict):
        return False
    faults = (json_body.at(document, name, 'code') for name in ('serviceUnavailable', 'computeFault'))
    # The middleware answers in the JSON of WebOb.
    return 503 in faults or document.get('code') == '503 Service Unavailable'


def is_internal_error(answer: Answer) -> bool:
    """Return whether a service itself, and no proxy before it, answered 500, which may come after it did something."""
    return answer.status == 500 and json_body.at(answer.json, 'computeFault', 'code') == 500


def is_unknown_path(answer: Answer) -> bool:
    """Return whether an answer is the 404 of the service's router, as for a path of a later release."""
    return answer.status == 404 and all(text in answer.body for text in _WEBOB)


def is_about_pod(answer: Answer) -> bool:
    """Return whether an answer to a read says nothing about the request, so that another pod may answer it.

    The gateway has validated the token, so a 401 is about the pod. So are an answer 200 or 403 that is not in the form
    of a service, and a limit on the rate of requests.
    """
    if answer.status == 200:
        return not _is_json(answer)
    if answer.status == 403:
        return json_body.at(answer.json, 'forbidden', 'code') != 403
    return answer.status >= 500 or answer.status in (401, 429) or is_unknown_path(answer)


def is_foreign(answer: Answer, method: str, *, is_write: bool) -> bool:
    """Return whether something in front of a service sent an answer, so it does not say what the service has done.

    Any answer to a write, even a refusal, may come after the service has carried it out. The senders of reads judge
    refusals themselves, except for 404.
    """
    if answer.is_ok:
        # The services answer in JSON or without a body. Cinder sends some JSON with the type of HTML.
        return bool(answer.body) and not _is_json(answer) and answer.json is None
    if answer.status < 400:
        return True  # no request to a pod asks for anything that 300 or 304 would answer
    if answer.status >= 500:
        return is_write and not (_is_before_work(answer) or is_internal_error(answer))
    if answer.status == 404 and method == 'HEAD':
        return not _is_json(answer)  # there is no body
    if answer.status == 404 and (is_missing(answer) or is_unknown_path(answer)):
        return False
    return answer.status == 404 or (is_write and 400 <= answer.status < 500 and not _is_refusal(answer))


def _is_before_work(answer: Answer) -> bool:
    """Return whether a server error shows that nothing was carried out.

    So do 501, and 503 by the service or in HTML by a proxy that reaches no server. Other proxies also answer 503, in
    text or JSON, when a connection breaks after the request. A proxy answers 502 or 504 when the service dies or takes
    too long.
    """
    if answer.status == 503:
        return is_unavailable(answer) or answer.body.lstrip().startswith(b'<')
    return answer.status == 501


def _is_refusal(answer: Answer) -> bool:
    """Return whether a service itself refused a request: its API, or the check of the token before it."""
    document = answer.json if _is_json(answer) else None
    if not isinstance(document, dict):
        return False
    if answer.status == 401 and json_body.at(document, 'error', 'title') is not None:
        return True  # keystonemiddleware
    if str(document.get('code')).startswith(f'{answer.status} '):
        return True  # WebOb, for middleware
    return any(json_body.at(document, name, 'code') == answer.status for name in document if name != 'error')


def _is_json(answer: Answer) -> bool:
    return (answer.header('Content-Type') or '').partition(';')[0].strip().lower() == 'application/json'
