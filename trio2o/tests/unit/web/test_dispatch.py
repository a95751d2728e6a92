# SPDX-License-Identifier: Apache-2.0
"""What is left of a request once it is answered."""

import contextlib
import gc
import io
import weakref

import testtools
import webob

from trio2o import exception
from trio2o.web import dispatch


class Input(io.BytesIO):
    """The body of a request, of which a weak reference can be made."""


class TestMemory(testtools.TestCase):
    def is_freed(self, controller):
        """Whether a request is freed without the garbage collector."""
        app = dispatch.make_app(controller)
        given = Input()
        environ = webob.Request.blank('/servers').environ | {'wsgi.input': given}
        kept = weakref.ref(given)
        gc.disable()
        self.addCleanup(gc.enable)
        with contextlib.suppress(exception.NotFound):
            b''.join(app(environ, lambda status, headers, exc_info=None: None))
        del environ, given
        return kept() is None

    def test_request_is_freed_after_answer(self):
        self.assertTrue(self.is_freed(lambda request: webob.Response(b'{}')))

    def test_request_is_freed_after_error(self):
        def refuse(request):
            raise exception.NotFound('no')

        self.assertTrue(self.is_freed(refuse))
