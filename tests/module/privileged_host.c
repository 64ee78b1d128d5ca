/* SPDX-License-Identifier: Apache-2.0 */
/* Loads a module and prints what its C_GetFunctionList answers: to be installed set-group-id by a test. */
#include <dlfcn.h>
#include <stdio.h>

int main(int argc, char **argv) {
    void *library = argc == 2 ? dlopen(argv[1], RTLD_NOW) : NULL;
    unsigned long (*get_list)(void **) = NULL;
    void *list;
    if (library)
        *(void **)&get_list = dlsym(library, "C_GetFunctionList");
    if (!get_list) {
        fprintf(stderr, "%s\n", dlerror());
        return 1;
    }
    printf("%lx\n", get_list(&list));
    return 0;
}
