/* hdf5_leaks.h: HDF5 1.10 loses the memory of an object header that it fails to decode: in tests
 * that damage files, LeakSanitizer shall overlook that. */
#pragma once

const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void) { return "leak:libhdf5"; }
