# Copyright The WeChatEndpoint Authors.
# SPDX-License-Identifier: Apache-2.0

from django.urls import path

from myApp import views

urlpatterns = [path("index/", views.index), path("weixin/", views.weixin)]
