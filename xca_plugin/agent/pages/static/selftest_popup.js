// SPDX-License-Identifier: Apache-2.0
// Tells the self-test page that this popup opened, and closes.
opener?.postMessage("here", location.origin);
close();
