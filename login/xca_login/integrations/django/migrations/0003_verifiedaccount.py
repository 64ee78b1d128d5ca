# SPDX-License-Identifier: Apache-2.0
"""The table of accounts that logged in with a verified origin."""

from typing import ClassVar

from django.db import migrations, models


class Migration(migrations.Migration):
    """Makes the table."""

    dependencies: ClassVar = [("xca_login", "0002_encryptionkey")]
    operations: ClassVar = [
        migrations.CreateModel(
            name="VerifiedAccount",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("domain", models.CharField(max_length=64)),
                ("organisation", models.CharField(max_length=255)),
                ("account_key", models.CharField(max_length=64)),
                ("verified", models.DateTimeField()),
                ("declared", models.DateTimeField(null=True)),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("domain", "organisation", "account_key"), name="xca_login_verified_account"
                    )
                ],
            },
        ),
    ]
