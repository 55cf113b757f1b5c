#include "app/version.h"

#include <jansson.h>
#include <openssl/crypto.h>
#include <png.h>
#include <stdio.h>
#include <utf8proc.h>

#include "backend/backend.h"
#include "core/isa.h"
#include "core/log.h"
#include "io/h5_file.h"

static void print_backend(const char *name, backend_opener *opener)
{
    const soda_backend *backend;
    if (opener(0, comm_self(), &backend) == SODA_OK) {
        printf("backend %s: %s\n", name, backend->description);
        if (backend->close) backend->close(backend);
        return;
    }
    printf("backend %s: not here: %s\n", name, status_message());
    status_clear();
}

soda_status version_print(const char *mpi)
{
    unsigned hdf5[3];
    printf("soda %s\n", SODA_VERSION);
    TRY(isa_choose(NULL));
    log_set_quiet(true); /* of what a backend says when it opens */
#define BACKEND(name) print_backend(#name, backend_open_##name);
#include "backend/backends.def"
#undef BACKEND
    printf("instruction sets of this CPU:");
    for (int level = 0; level <= (int)isa_best(); level++)
        printf(" %s", isa_name((isa_level)level));
    printf(" (--isa or SODA_ISA sets the highest to use)\n");
    h5_file_library(hdf5);
    printf("libraries: %s, HDF5 %u.%u.%u, jansson %s, libpng %s, utf8proc %s, %s\n", mpi, hdf5[0],
           hdf5[1], hdf5[2], jansson_version_str(), png_get_libpng_ver(NULL), utf8proc_version(),
           OpenSSL_version(OPENSSL_VERSION));
    return SODA_OK;
}
