/* SPDX-License-Identifier: Apache-2.0 */
/* [quirks] hash = module; its replaced entries are declared in module.h. */
#ifndef XCA_HASHING_H
#define XCA_HASHING_H

/* Before C_Finalize, which ends every session. */
void hashing_forget_all(void);

#endif
