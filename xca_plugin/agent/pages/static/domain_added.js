// SPDX-License-Identifier: Apache-2.0
// Tells the site that opened this popup that it is trusted now. The site then loads itself again.
"use strict";

if (window.opener) {
  window.opener.postMessage(JSON.stringify({ ret_code: 0 }), document.querySelector("[data-part=site]").dataset.site);
  window.close();
}
