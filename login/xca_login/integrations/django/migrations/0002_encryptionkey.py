# SPDX-License-Identifier: Apache-2.0
"""The table of keys for encryption."""

from typing import ClassVar

from django.db import migrations, models


class Migration(migrations.Migration):
    """Makes the table."""

    dependencies: ClassVar = [("xca_login", "0001_initial")]
    operations: ClassVar = [
        migrations.CreateModel(
            name="EncryptionKey",
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
                ("holder_name", models.TextField()),
                ("rank", models.CharField(max_length=16)),
                ("certificate", models.BinaryField()),
                ("fingerprint", models.CharField(max_length=64)),
                ("key", models.CharField(max_length=64)),
                ("valid_from", models.DateTimeField()),
                ("valid_until", models.DateTimeField()),
                ("registered", models.DateTimeField()),
                ("proved", models.DateTimeField(null=True)),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("domain", "organisation", "account_key"), name="xca_login_encryption_account"
                    )
                ],
            },
        ),
    ]
