# Copyright The WeChatEndpoint Authors.
# SPDX-License-Identifier: Apache-2.0

from django.urls import include, path

urlpatterns = [path("", include(("myApp.urls", "myApp"), namespace="myApp"))]
