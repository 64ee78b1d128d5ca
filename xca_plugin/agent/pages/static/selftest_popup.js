// SPDX-License-Identifier: Apache-2.0
// Says that it came, as the component's windows do, and goes.
opener?.postMessage("here", location.origin);
close();
