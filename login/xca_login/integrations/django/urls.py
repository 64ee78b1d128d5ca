# SPDX-License-Identifier: Apache-2.0
"""The addresses of a login, below the path at which the site includes them."""

from django.urls import path

from xca_login.integrations.django import views

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
