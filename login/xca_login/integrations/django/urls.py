# SPDX-License-Identifier: Apache-2.0
"""The addresses of a login, below the path at which the site includes them."""

from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.urls import path

from xca_login.integrations.django import views

if apps.apps_ready and not apps.is_installed("xca_login.integrations.django"):
    raise ImproperlyConfigured(
        "Add 'xca_login.integrations.django' to INSTALLED_APPS. Then run manage.py migrate."
    )

app_name = "xca_login"
urlpatterns = [
    path("", views.page, name="page"),
    path("xca-login.js", views.script, name="script"),
    path("begin", views.begin, name="begin"),
    path("finish", views.finish, name="finish"),
    path("logout", views.logout, name="logout"),
    path("register", views.register, name="register"),
    path("prove", views.prove, name="prove"),
    path("proved", views.proved, name="proved"),
]
