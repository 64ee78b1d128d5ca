# SPDX-License-Identifier: Apache-2.0
"""The authentication backend: which user a login is."""

import secrets
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.base_user import AbstractBaseUser
from django.db import IntegrityError, transaction
from django.http import HttpRequest

from xca_login.login import Login


class CardBackend(ModelBackend):
    """Finds the user of a card's key. A key that logs in for the first time gets a new user (new_user)."""

    def authenticate(  # type: ignore[override]  # no user name, no password
        self, request: HttpRequest | None, login: Login | None = None
    ) -> AbstractBaseUser | None:
        """Return the user of a login; None: that user may not log in, or it is no login with a card.

        Args:
            request: the request.
            login: what was verified.
        """
        from xca_login.integrations.django.models import CardKey  # after Django's start

        if login is None:
            return None
        account = login.account._asdict()
        seen = {"holder_name": login.holder_name, "rank": login.rank, "last_used": login.at}
        if not CardKey.objects.filter(**account).update(**seen):
            try:
                with transaction.atomic():
                    user = self.new_user(login)
                    if user is None:
                        return None
                    CardKey.objects.create(user=user, first_used=login.at, **account, **seen)
            except IntegrityError:  # the same key logged in meanwhile
                if not CardKey.objects.filter(**account).exists():
                    raise
        found = CardKey.objects.select_related("user").get(**account).user
        return found if self.user_can_authenticate(found) else None

    def new_user(self, login: Login) -> Any:  # of the site's own class of users
        """Return the user for a key that was not seen before; None: it gets none.

        By default it is a new one without a password, named at random. A site with other rules overrides it.
        """
        return get_user_model()._default_manager.create_user(  # type: ignore[attr-defined]  # UserManager
            f"card-{secrets.token_hex(16)}"
        )
