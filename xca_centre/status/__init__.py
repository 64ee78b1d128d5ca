# SPDX-License-Identifier: Apache-2.0
"""What relying parties are told: revocation lists and OCSP answers, as views of the database."""
