# Copyright The WeChatEndpoint Authors.
# SPDX-License-Identifier: Apache-2.0

import time
import xml.etree.ElementTree as ElementTree
from xml.sax.saxutils import escape

from django.conf import settings
from django.http import HttpResponse, HttpResponseForbidden
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from myApp.verify import verify


def index(request):
    return HttpResponse("sunck is a good man")


# The URL check (GET with echostr) never comes here: the sidecar answers it. So there is no token here.
@csrf_exempt
@require_POST
def weixin(request):
    if not verify(settings.WECHAT_GATEWAY_KEY, request.method, request.get_full_path(), request.headers.items(), request.body):
        return HttpResponseForbidden()
    try:
        message = ElementTree.fromstring(request.body)
    except ElementTree.ParseError:
        return HttpResponse("success")  # WeChat does not escape what users type
    if message.findtext("MsgType") != "text":
        return HttpResponse("success")
    return HttpResponse(reply(message, "you said: " + message.findtext("Content", "")), content_type="text/xml; charset=utf-8")


def reply(message, content):
    return (
        "<xml>"
        f"<ToUserName>{escape(message.findtext('FromUserName', ''))}</ToUserName>"
        f"<FromUserName>{escape(message.findtext('ToUserName', ''))}</FromUserName>"
        f"<CreateTime>{int(time.time())}</CreateTime>"
        "<MsgType>text</MsgType>"
        f"<Content>{escape(content)}</Content>"
        "</xml>"
    )
