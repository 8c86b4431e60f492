# Copyright The WeChatEndpoint Authors.
# SPDX-License-Identifier: Apache-2.0

import os
import pathlib
import secrets

ROOT_URLCONF = "project.urls"
ALLOWED_HOSTS = ["*"]  # the sidecar calls the Service by its name, and sends nothing of WeChat's head
INSTALLED_APPS = ["myApp"]
SECRET_KEY = secrets.token_urlsafe()  # this app has no sessions: a new one at each start will do

# The file that the Deployment mounts from Secret shop-django-gateway-key. Read once: it never changes.
WECHAT_GATEWAY_KEY = pathlib.Path(os.environ.get("WECHAT_GATEWAY_KEY_FILE", "/etc/wechat-gateway/key")).read_bytes()
