// SPDX-License-Identifier: Apache-2.0
// Tells the site that opened this window that it is trusted now; it loads itself again.
"use strict";

if (window.opener) {
  window.opener.postMessage(JSON.stringify({ ret_code: 0 }), document.getElementById("site").dataset.site);
  window.close();
}
