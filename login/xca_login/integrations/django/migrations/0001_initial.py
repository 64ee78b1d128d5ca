# SPDX-License-Identifier: Apache-2.0
"""The tables as they were first."""

from typing import ClassVar

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    """Makes the tables."""

    initial = True
    dependencies: ClassVar = [migrations.swappable_dependency(settings.AUTH_USER_MODEL)]
    operations: ClassVar = [
        migrations.CreateModel(
            name="OpenChallenge",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("session", models.CharField(max_length=64)),
                ("nonce", models.CharField(max_length=64)),
                ("text", models.BinaryField()),
                ("until", models.DateTimeField(db_index=True)),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("session", "nonce"), name="xca_login_challenge")
                ],
            },
        ),
        migrations.CreateModel(
            name="CardKey",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("domain", models.CharField(max_length=64)),
                ("organisation", models.CharField(max_length=255)),
                ("key", models.CharField(max_length=64)),
                ("holder_name", models.TextField()),
                ("rank", models.CharField(max_length=16)),
                ("first_used", models.DateTimeField()),
                ("last_used", models.DateTimeField()),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="card_keys",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("domain", "organisation", "key"), name="xca_login_account"
                    )
                ],
            },
        ),
    ]
