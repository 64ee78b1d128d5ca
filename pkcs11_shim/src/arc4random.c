/* SPDX-License-Identifier: Apache-2.0 */
/* For libcrypt.a, which is linked into the module: glibc has this function since 2.36 only, and the module is
 * to load with 2.34 too. */
#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

void arc4random_buf(void *buffer, size_t size) {
    unsigned char *next = buffer;
    while (size > 0) {
        ssize_t got = getrandom(next, size, 0);
        if (got > 0) {
            next += got;
            size -= (size_t)got;
        } else if (errno != EINTR) {
            abort(); /* libcrypt asks for no answer; a salt that is not random must not be used */
        }
    }
}
