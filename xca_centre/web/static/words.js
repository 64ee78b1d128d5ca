// SPDX-License-Identifier: Apache-2.0
// Shows what the local component or the browser has refused, with a link where one helps.

import { LoginError } from "/login/xca-login.js";

export function tell(place, error) {
  if (!(error instanceof LoginError)) {
    throw error;
  }
  place.textContent = error.text();
  if (error.link !== null) {
    const link = document.createElement("a");
    // The component learns from the referrer which scheme and port to trust.
    Object.assign(link, { href: error.link, target: "_blank", referrerPolicy: "origin", textContent: error.link });
    place.append(" ", link);
  }
}
