#include "app/inspect_cache.h"

#include <stdio.h>

#include "io/cache_limit.h"

static double gib(int64_t bytes) { return (double)bytes / 0x1p30; }

soda_status inspect_cache(const char *folder, bool *is_cache)
{
    cache_size sizes[CACHE_KINDS], all;
    int64_t most;
    int count;
    TRY(cache_limit_measure(folder, sizes, &count, &all));
    *is_cache = count > 0;
    if (!*is_cache) return SODA_OK;
    TRY(cache_limit_bytes(&most));
    printf("%s: cache of soda, %lld files, %.3f GiB", folder, (long long)all.files, gib(all.bytes));
    if (most != INT64_MAX) printf(" (limit %.4g GiB)", gib(most));
    printf("\n");
    for (int i = 0; i < count; i++)
        printf("%-16s %8lld files  %10.3f GiB\n", sizes[i].kind, (long long)sizes[i].files,
               gib(sizes[i].bytes));
    printf("to clear it while no run uses it: rm -r '%s'\n", folder);
    return SODA_OK;
}
