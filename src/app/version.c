#include "app/version.h"

#include <jansson.h>
#include <openssl/crypto.h>
#include <png.h>
#include <stdio.h>
#include <utf8proc.h>

#include "backend/backend.h"
#include "core/isa.h"

soda_status version_print(void)
{
    printf("soda %s\n", SODA_VERSION);
    TRY(isa_choose(NULL));
#define BACKEND(name) printf("backend " #name ": %s\n", backend_##name(0)->description);
#include "backend/backends.def"
#undef BACKEND
    printf("instruction sets of this CPU:");
    for (int level = 0; level <= (int)isa_best(); level++)
        printf(" %s", isa_name((isa_level)level));
    printf(" (--isa or SODA_ISA sets the highest to use)\n");
    printf("libraries: jansson %s, libpng %s, utf8proc %s, %s\n", jansson_version_str(),
           png_get_libpng_ver(NULL), utf8proc_version(), OpenSSL_version(OPENSSL_VERSION));
    return SODA_OK;
}
