#include "core/memory_limit.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { PATH_BYTES = 4096, LINE_BYTES = 8192 };

/* One of the two kinds of control groups. */
typedef struct {
    const char *filesystem, *file;
    bool v2;
} hierarchy;

static const hierarchy hierarchies[] = {{"cgroup", "memory.limit_in_bytes", false},
                                        {"cgroup2", "memory.max", true}};

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

static FILE *open_below(const char *root, const char *path)
{
    char full[PATH_BYTES * 2];
    snprintf(full, sizeof full, "%s%s", root, path);
    return fopen(full, "re");
}

/* The number after `key` at the start of a line; SIZE_MAX if there is none ("max"). */
static size_t number_in(const char *root, const char *path, const char *key)
{
    char line[LINE_BYTES];
    size_t found = SIZE_MAX;
    FILE *file = open_below(root, path);
    while (file && found == SIZE_MAX && fgets(line, sizeof line, file)) {
        unsigned long long value;
        if (strncmp(line, key, strlen(key)) == 0 && sscanf(line + strlen(key), "%llu", &value) == 1)
            found = (size_t)value;
    }
    if (file) fclose(file);
    return found;
}

/* Whether a list with commas holds `word`. */
static bool lists(const char *list, const char *word)
{
    const size_t length = strlen(word);
    for (const char *p = list; p; p = strchr(p, ',') ? strchr(p, ',') + 1 : NULL)
        if (strncmp(p, word, length) == 0 && (p[length] == ',' || !p[length])) return true;
    return false;
}

/* This process's group of the hierarchy, from /proc/self/cgroup: "4:memory:/job/step", "0::/job".
 */
static bool find_group(const char *root, const hierarchy *h, char *group)
{
    char line[LINE_BYTES];
    bool found = false;
    FILE *file = open_below(root, "/proc/self/cgroup");
    while (file && !found && fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = 0;
        char *controllers = strchr(line, ':');
        char *path = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!path) continue;
        *path++ = 0;
        controllers++;
        found = h->v2 ? !*controllers : lists(controllers, "memory");
        if (found) snprintf(group, PATH_BYTES, "%s", path);
    }
    if (file) fclose(file);
    return found;
}

/* Where the hierarchy is mounted, and which group the mount shows as its root, from
 * /proc/self/mountinfo: "30 24 0:26 /docker/7 /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory"
 */
static bool find_mount(const char *root, const hierarchy *h, char *top, char *place)
{
    char line[LINE_BYTES], type[64], options[1024];
    bool found = false;
    FILE *file = open_below(root, "/proc/self/mountinfo");
    while (file && !found && fgets(line, sizeof line, file)) {
        const char *rest = strstr(line, " - ");
        if (!rest || sscanf(rest, " - %63s %*s %1023s", type, options) != 2) continue;
        if (sscanf(line, "%*s %*s %*s %4095s %4095s", top, place) != 2) continue;
        found = strcmp(type, h->filesystem) == 0 && (h->v2 || lists(options, "memory"));
    }
    if (file) fclose(file);
    return found;
}

/* The smallest limit of the group and all above it, up to the mount. */
static size_t group_limit(const char *root, const hierarchy *h)
{
    char group[PATH_BYTES], top[PATH_BYTES], place[PATH_BYTES], path[PATH_BYTES * 3];
    size_t limit = SIZE_MAX;
    if (!find_group(root, h, group) || !find_mount(root, h, top, place)) return SIZE_MAX;
    /* In a container the mount's own root may be a group below the machine's. */
    const size_t shown = strcmp(top, "/") == 0 ? 0 : strlen(top);
    char *rest = strncmp(group, top, shown) == 0 ? group + shown : group + strlen(group);
    for (;;) {
        snprintf(path, sizeof path, "%s%s/%s", place, rest, h->file);
        limit = least(limit, number_in(root, path, ""));
        char *slash = strrchr(rest, '/');
        if (!slash) return limit;
        *slash = 0;
    }
}

/* The leading number of an environment variable, e.g. "16(x2)"; SIZE_MAX if there is none. */
static size_t variable(const char *name)
{
    const char *text = getenv(name);
    unsigned long long value;
    return text && sscanf(text, "%llu", &value) == 1 && value > 0 ? (size_t)value : SIZE_MAX;
}

/* a times b, SIZE_MAX if either is or it does not fit. */
static size_t times(size_t a, size_t b)
{
    size_t product;
    if (a == SIZE_MAX || b == SIZE_MAX || __builtin_mul_overflow(a, b, &product)) return SIZE_MAX;
    return product;
}

static size_t job_limit(void)
{
    const size_t mib = (size_t)1 << 20;
    const size_t node = times(variable("SLURM_MEM_PER_NODE"), mib);
    const size_t cpu = times(variable("SLURM_MEM_PER_CPU"), mib);
    return least(least(node, times(cpu, variable("SLURM_CPUS_ON_NODE"))), variable("PBS_VMEM"));
}

/* What may be resident under a limit on what is mapped; `key` names its count. */
static size_t own_limit(const char *root, int resource, const char *key)
{
    struct rlimit limit;
    const char *status = "/proc/self/status";
    if (getrlimit(resource, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return SIZE_MAX;
    const size_t mapped = times(number_in(root, status, key), 1024);
    const size_t resident = times(number_in(root, status, "VmRSS:"), 1024);
    if (mapped == SIZE_MAX || resident == SIZE_MAX || mapped < resident) return limit.rlim_cur;
    const size_t idle = mapped - resident;
    return limit.rlim_cur > idle ? limit.rlim_cur - idle : 1;
}

size_t memory_limit_bytes(const char *root, int ranks)
{
    size_t shared = (size_t)sysconf(_SC_PHYS_PAGES) * (size_t)sysconf(_SC_PAGE_SIZE);
    for (size_t i = 0; i < sizeof hierarchies / sizeof *hierarchies; i++)
        shared = least(shared, group_limit(root, &hierarchies[i]));
    shared = least(shared, job_limit()) / (size_t)(ranks > 0 ? ranks : 1);
    return least(shared, least(own_limit(root, RLIMIT_AS, "VmSize:"),
                               own_limit(root, RLIMIT_DATA, "VmData:")));
}
