# SPDX-License-Identifier: Apache-2.0
"""The session of a user: a Keystone token in a cookie that scripts cannot read and other sites cannot send.

Nothing is kept on the server, so any process of any host answers any request. A form is taken only with the secret
that the page it stands on carried, which the browser holds in a second cookie.
"""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

TOKEN = 'trio2o_token'
FORM = 'trio2o_form'

#: Signing out revokes a token that signing in created, and not a token that the user entered.
MADE, BROUGHT = 'made', 'brought'

_TOKEN_TEXT = re.compile(r'[A-Za-z0-9._=~+/-]{8,3800}')
_SECRET_TEXT = re.compile(r'[A-Za-z0-9_-]{43}')


@dataclass(frozen=True)
class Session:
    """What the browser's cookies say.

    :ivar token: '' when nobody is signed in
    :ivar secret: that forms must carry; '' in a browser that comes for the first time
    """

    token: str = ''
    origin: str = BROUGHT
    secret: str = ''

    @classmethod
    def of(cls, environ: Mapping[str, Any]) -> Session:
        cookies = _cookies(environ.get('HTTP_COOKIE', ''))
        origin, _colon, token = cookies.get(TOKEN, '').partition(':')
        secret = cookies.get(FORM, '')
        if origin not in (MADE, BROUGHT) or not is_token(token):
            origin, token = BROUGHT, ''
        return cls(token, origin, secret if _SECRET_TEXT.fullmatch(secret) else '')

    def takes(self, form: Mapping[str, str]) -> bool:
        """Whether a form comes from a page of the dashboard that was shown in this browser."""
        return bool(self.secret) and hmac.compare_digest(self.secret.encode(), form.get('form', '').encode())


def is_token(text: str) -> bool:
    """Whether it may stand in a cookie and a header."""
    return bool(_TOKEN_TEXT.fullmatch(text))


def new_secret() -> str:
    return secrets.token_urlsafe(32)


def cookie(name: str, value: str, path: str, is_secure: bool) -> tuple[str, str]:
    """A header that sets a cookie until the browser is closed; an empty value takes it away."""
    parts = [f'{name}={value}', f'Path={path}', 'HttpOnly', 'SameSite=Strict']
    if is_secure:
        parts.append('Secure')
    if not value:
        parts.append('Max-Age=0')
    return 'Set-Cookie', '; '.join(parts)


def token_value(token: str, origin: str) -> str:
    return f'{origin}:{token}'


def _cookies(header: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in header.split(';'):
        name, _equals, value = part.strip().partition('=')
        # Of two of one name the first is the one with the longer path, which is ours.
        found.setdefault(name, value)
    return found
