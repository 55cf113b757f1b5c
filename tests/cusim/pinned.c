/* Pinned host memory that a copy is using: host code that touches it before it has waited is
 * caught. What a copy writes may not be touched, what it reads may not be written.
 *
 * The pages cannot be accessed so long; a fault next to the bytes of the copy opens the page. */
#include "order.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

typedef struct {
    sim_memory *memory;
    char *at;
    size_t n;
    bool writes; /* the copy does */
    int line;
    uint32_t number;
} use;

static use *uses;
static size_t count;

static char *page_of(char *p)
{
    return (char *)((uintptr_t)p & ~(uintptr_t)((size_t)sysconf(_SC_PAGESIZE) - 1));
}

static void protect(const use *u)
{
    char *first = page_of(u->at);
    mprotect(first, (size_t)(u->at + u->n - first), u->writes ? PROT_NONE : PROT_READ);
}

static bool is_done(const use *u)
{
    return u->memory->freed || u->number <= sim_host_past.until[u->line];
}

/* Opens what is no longer in use, then closes again what shares its pages and still is. */
void sim_pinned_settle(void)
{
    size_t kept = 0;
    for (size_t k = 0; k < count; k++) {
        const use u = uses[k];
        if (!is_done(&u)) {
            uses[kept++] = u;
        } else if (!u.memory->freed) {
            char *first = page_of(u.at);
            mprotect(first, (size_t)(u.at + u.n - first), PROT_READ | PROT_WRITE);
        }
    }
    if (kept == count) return;
    count = kept;
    for (size_t k = 0; k < count; k++) protect(&uses[k]);
}

void sim_pinned_use(const void *p, size_t n, bool writes, int line, uint32_t number)
{
    sim_memory *m = sim_option()->check && n ? sim_memory_find(p) : NULL;
    if (!m || m->device) return;
    uses = sim_push(uses, count, sizeof *uses);
    uses[count++] = (use){m, m->base + ((const char *)p - m->base), n, writes, line, number};
    protect(&uses[count - 1]);
}

bool sim_pinned_fault(char *p, bool write)
{
    for (size_t k = 0; k < count; k++) {
        const use *u = &uses[k];
        if (p < u->at || p >= u->at + u->n || (!write && !u->writes)) continue;
        sim_die("host code %s pinned memory that a copy %s, without waiting for it: offset %td of "
                "allocation #%u of %zu bytes",
                write ? "writes" : "reads", u->writes ? "writes" : "reads", p - u->memory->base,
                u->memory->id, u->memory->size);
    }
    const sim_memory *m = sim_memory_find(p);
    if (!m || m->device || m->freed || p < m->map || p >= m->map + m->mapped) return false;
    mprotect(page_of(p), 1, PROT_READ | PROT_WRITE);
    return true;
}
