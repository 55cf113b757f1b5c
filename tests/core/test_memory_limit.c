/* Memory limits of control groups, batch systems and the process, in a made-up machine. */
#include "support/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "core/memory_limit.h"
#include "support/files.h"

enum { MIB = 1 << 20 };

static const char *const variables[] = {"SLURM_MEM_PER_NODE", "SLURM_MEM_PER_CPU",
                                        "SLURM_CPUS_ON_NODE", "PBS_VMEM"};

static void write_below(const char *root, const char *path, const char *text)
{
    char command[1000];
    snprintf(command, sizeof command, "mkdir -p \"$(dirname '%s/%s')\"", root, path);
    assert_int_equal(system(command), 0);
    files_write(root, path, text, strlen(text));
}

static int fresh(void **state)
{
    char command[1000];
    snprintf(command, sizeof command, "rm -rf '%s'/proc '%s'/sys", (char *)*state, (char *)*state);
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++) unsetenv(variables[i]);
    return system(command);
}

static void without_any_limit_the_machine_counts(void **state)
{
    const size_t machine = (size_t)sysconf(_SC_PHYS_PAGES) * (size_t)sysconf(_SC_PAGE_SIZE);
    assert_int_equal(memory_limit_bytes(*state, 1), machine);
    assert_int_equal(memory_limit_bytes(*state, 3), machine / 3);
}

static void a_v2_group_and_its_parents_count(void **state)
{
    write_below(*state, "proc/self/cgroup", "0::/slurm/job_7/step_0\n");
    write_below(*state, "proc/self/mountinfo",
                "24 1 0:22 / /proc rw - proc proc rw\n"
                "30 24 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw\n");
    write_below(*state, "sys/fs/cgroup/slurm/job_7/step_0/memory.max", "max\n");
    write_below(*state, "sys/fs/cgroup/slurm/job_7/memory.max", "41943040\n");
    write_below(*state, "sys/fs/cgroup/slurm/memory.max", "83886080\n");
    assert_int_equal(memory_limit_bytes(*state, 1), 40 * MIB);
    assert_int_equal(memory_limit_bytes(*state, 4), 10 * MIB);
    write_below(*state, "sys/fs/cgroup/slurm/memory.max", "20971520\n");
    assert_int_equal(memory_limit_bytes(*state, 1), 20 * MIB);
}

static void a_v1_group_counts(void **state)
{
    write_below(*state, "proc/self/cgroup", "5:cpu,cpuacct:/a\n4:hugetlb,memory:/b/c\n0::/\n");
    write_below(*state, "proc/self/mountinfo",
                "29 24 0:25 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n"
                "30 24 0:26 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,hugetlb,memory\n");
    write_below(*state, "sys/fs/cgroup/memory/b/c/memory.limit_in_bytes", "52428800\n");
    write_below(*state, "sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
    assert_int_equal(memory_limit_bytes(*state, 1), 50 * MIB);
}

/* The container's mount shows its own group as the root. */
static void a_container_counts(void **state)
{
    write_below(*state, "proc/self/cgroup", "0::/docker/7f/job\n");
    write_below(*state, "proc/self/mountinfo",
                "30 24 0:26 /docker/7f /sys/fs/cgroup ro - cgroup2 cgroup rw\n");
    write_below(*state, "sys/fs/cgroup/memory.max", "62914560\n");
    write_below(*state, "sys/fs/cgroup/job/memory.max", "31457280\n");
    assert_int_equal(memory_limit_bytes(*state, 1), 30 * MIB);
    write_below(*state, "proc/self/cgroup", "0::/elsewhere\n");
    assert_int_equal(memory_limit_bytes(*state, 1), 60 * MIB);
}

static void variables_of_batch_systems_count(void **state)
{
    setenv("SLURM_MEM_PER_NODE", "96", 1);
    assert_int_equal(memory_limit_bytes(*state, 2), 48 * MIB);
    setenv("SLURM_MEM_PER_CPU", "10", 1);
    assert_int_equal(memory_limit_bytes(*state, 2), 48 * MIB); /* of how many is not known */
    setenv("SLURM_CPUS_ON_NODE", "4", 1);
    assert_int_equal(memory_limit_bytes(*state, 2), 20 * MIB);
    setenv("PBS_VMEM", "8388608", 1);
    assert_int_equal(memory_limit_bytes(*state, 2), 4 * MIB);
    setenv("PBS_VMEM", "none", 1);
    assert_int_equal(memory_limit_bytes(*state, 2), 20 * MIB);
}

/* 512 MiB of address space, of which 300 are mapped and 100 resident: 312 may be resident. Ranks do
 * not share it. */
static void the_limit_of_address_space_counts(void **state)
{
    struct rlimit before, limit;
    write_below(*state, "proc/self/status",
                "Name:\tsoda\nVmSize:\t  307200 kB\nVmRSS:\t  102400 kB\nVmData:\t 204800 kB\n");
    setenv("SLURM_MEM_PER_NODE", "3200", 1);
    assert_int_equal(getrlimit(RLIMIT_DATA, &before), 0);
    limit = (struct rlimit){(rlim_t)512 * MIB, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_DATA, &limit), 0);
    const size_t data = memory_limit_bytes(*state, 2);
    assert_int_equal(setrlimit(RLIMIT_DATA, &before), 0);
    assert_int_equal(data, 412 * MIB);
#if !SODA_TEST_SLOW
    assert_int_equal(getrlimit(RLIMIT_AS, &before), 0);
    limit = (struct rlimit){(rlim_t)512 * MIB, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_AS, &limit), 0);
    const size_t space = memory_limit_bytes(*state, 2);
    assert_int_equal(setrlimit(RLIMIT_AS, &before), 0);
    assert_int_equal(space, 312 * MIB);
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(without_any_limit_the_machine_counts, fresh),
        cmocka_unit_test_setup(a_v2_group_and_its_parents_count, fresh),
        cmocka_unit_test_setup(a_v1_group_counts, fresh),
        cmocka_unit_test_setup(a_container_counts, fresh),
        cmocka_unit_test_setup(variables_of_batch_systems_count, fresh),
        cmocka_unit_test_setup(the_limit_of_address_space_counts, fresh),
    };
    return cmocka_run_group_tests(tests, files_setup, files_teardown);
}
