# SPDX-License-Identifier: Apache-2.0
"""The paths at which web sites open the agent's consent popup."""

from typing import Final

FIRST_WORDS: Final = {
    "/popupForm": "getTbs",
    "/ChtPopupForm": "getTbs",
    "/CardManagement/CMCPopForm": "CMCAtn",
    "/PrintCard/ChtPopupFormPrintCard": "getTbs",
    "/MOEACA/ChtPopupFormMOEACA": "getTbs",
    "/eIDPM/ChtPopupFormEIDPM": "getTbs",
}
"""The `func` of the first message that the popup at a path sends to the site that opened it."""
