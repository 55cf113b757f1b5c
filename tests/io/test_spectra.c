/* spectra.h5: records are added, replaced on resuming, and never half-written. */
#include "support/check.h"

#include <hdf5.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "io/hdf5_leaks.h"
#include "io/spectra.h"
#include "support/files.h"

enum { LAYERS = 2, MOST = 70, ROWS = 21 };
static const int64_t sizes[LAYERS][2] = {{20, 70}, {3, 5}}; /* k, n: one long enough to compress */

typedef struct {
    spectra_layer layer[LAYERS];
    float sigma0[LAYERS][MOST], sigma[LAYERS][MOST], angles[LAYERS][MOST];
} record;

/* Every value depends on step, layer and place. */
static void fill(record *r, int64_t step)
{
    static const char *const names[LAYERS] = {"unet.mid.attn1.to_out.0", "text_encoder.q_proj"};
    for (int l = 0; l < LAYERS; l++) {
        const float at = (float)step + 0.25f * (float)l;
        for (int i = 0; i < MOST; i++) {
            r->sigma0[l][i] = (float)(l + i);
            r->sigma[l][i] = at + (float)i / 128;
            r->angles[l][i] = at - (float)i / 256;
        }
        r->layer[l] =
            (spectra_layer){names[l],    sizes[l][0],          sizes[l][1],  r->sigma0[l],
                            r->sigma[l], (double)at + 1.0 / 3, r->angles[l], {(double)at, 2, 3}};
    }
}

static soda_status write_record(const char *path, int64_t step)
{
    static record r;
    fill(&r, step);
    return spectra_record(path, step, r.layer, LAYERS, NULL);
}

/* Data set `name` must have this shape, and these values in fp64. */
static void check_set(hid_t file, const char *name, int rank, int64_t rows, int64_t width,
                      const double *want)
{
    hsize_t dim[2] = {0, 0};
    double got[ROWS * MOST];
    const hid_t set = H5Dopen2(file, name, H5P_DEFAULT), space = H5Dget_space(set);
    assert_int_equal(H5Sget_simple_extent_ndims(space), rank);
    H5Sget_simple_extent_dims(space, dim, NULL);
    assert_int_equal(dim[0], rows);
    if (rank == 2) assert_int_equal(dim[1], width);
    assert_true(H5Dread(set, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, got) >= 0);
    for (int64_t i = 0; i < rows * width; i++) assert_true(got[i] == want[i]);
    H5Sclose(space);
    H5Dclose(set);
}

static void check_layer(hid_t file, const spectra_layer *l, const int64_t *steps, int rows)
{
    char name[200];
    double k[ROWS * MOST], n[ROWS * MOST], e[ROWS], o[3 * ROWS];
    static record r;
    const int which = l->k == sizes[0][0] ? 0 : 1;
    for (int64_t i = 0; i < rows; i++) {
        fill(&r, steps[i]);
        for (int64_t j = 0; j < l->k; j++) k[i * l->k + j] = (double)r.sigma[which][j];
        for (int64_t j = 0; j < l->n; j++) n[i * l->n + j] = (double)r.angles[which][j];
        e[i] = r.layer[which].effective_rank;
        memcpy(o + 3 * i, r.layer[which].orthogonality, 3 * sizeof *o);
    }
    snprintf(name, sizeof name, "/layers/%s/sigma", l->name);
    check_set(file, name, 2, rows, l->k, k);
    snprintf(name, sizeof name, "/layers/%s/angles", l->name);
    check_set(file, name, 2, rows, l->n, n);
    snprintf(name, sizeof name, "/layers/%s/effective_rank", l->name);
    check_set(file, name, 1, rows, 1, e);
    snprintf(name, sizeof name, "/layers/%s/orthogonality", l->name);
    check_set(file, name, 2, rows, 3, o);
    for (int64_t j = 0; j < l->k; j++) k[j] = (double)r.sigma0[which][j];
    snprintf(name, sizeof name, "/layers/%s/sigma0", l->name);
    check_set(file, name, 1, l->k, 1, k);
}

/* The file, read with plain HDF5, holds the records of exactly these steps. */
static void check_file(const char *path, const int64_t *steps, int rows)
{
    static record r;
    double want[ROWS];
    const hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
    assert_true(file >= 0);
    for (int i = 0; i < rows; i++) want[i] = (double)steps[i];
    check_set(file, "/steps", 1, rows, 1, want);
    fill(&r, 0);
    for (int l = 0; l < LAYERS; l++) check_layer(file, &r.layer[l], steps, rows);
    H5Fclose(file);
}

static void records_are_added(void **state)
{
    const char *path = files_path(*state, "spectra.h5");
    static const int64_t steps[] = {0, 10, 20, 40, 80, 160, 161, 162, 163, 164, 165};
    for (int i = 0; i < 11; i++) {
        CHECK_OK(write_record(path, steps[i]));
        check_file(path, steps, i + 1);
    }
    assert_int_equal(files_count(*state), 1);
}

static void resuming_replaces_later_records(void **state)
{
    const char *path = files_path(*state, "spectra.h5");
    for (int64_t step = 0; step <= 50; step += 10) CHECK_OK(write_record(path, step));
    CHECK_OK(write_record(path, 50)); /* the same again */
    check_file(path, (const int64_t[]){0, 10, 20, 30, 40, 50}, 6);
    CHECK_OK(write_record(path, 25));
    check_file(path, (const int64_t[]){0, 10, 20, 25}, 4);
    CHECK_OK(write_record(path, 30));
    check_file(path, (const int64_t[]){0, 10, 20, 25, 30}, 5);
    CHECK_OK(write_record(path, 0));
    check_file(path, (const int64_t[]){0}, 1);
}

/* A refused record leaves the file as it was. */
static void check_refused(const char *path, const record *r, int count, const char *message)
{
    CHECK_FAILS(spectra_record(path, 9, r->layer, count, NULL), SODA_ERR_INPUT);
    check_message_has(path);
    check_message_has(message);
    check_file(path, (const int64_t[]){1, 2}, 2);
}

static soda_status refuse(const void *context)
{
    return FAIL(SODA_ERR_INPUT, "%s is another's", (const char *)context);
}

static void a_file_that_became_anothers_stays(void **state)
{
    static record r;
    const char *path = files_path(*state, "spectra.h5");
    const newfile_permission refused = {refuse, "the folder"};
    CHECK_OK(write_record(path, 1));
    CHECK_OK(write_record(path, 2));
    fill(&r, 3);
    CHECK_FAILS(spectra_record(path, 3, r.layer, LAYERS, &refused), SODA_ERR_INPUT);
    check_message_has("the folder is another's");
    check_file(path, (const int64_t[]){1, 2}, 2);
    assert_int_equal(files_count(*state), 1);
}

static void layers_that_do_not_fit_are_refused(void **state)
{
    const char *path = files_path(*state, "spectra.h5");
    record r;
    CHECK_OK(write_record(path, 1));
    CHECK_OK(write_record(path, 2));
    fill(&r, 9);
    r.layer[0].k = 19;
    check_refused(path, &r, 2, "/layers/unet.mid.attn1.to_out.0/sigma0: expected [19], found [20]");
    fill(&r, 9);
    r.layer[0].n = 71;
    check_refused(path, &r, 2,
                  "/layers/unet.mid.attn1.to_out.0/angles: expected [2,71], found [2,70]");
    fill(&r, 9);
    r.layer[1].name = "other";
    check_refused(path, &r, 2, "/layers: expected an entry \"other\", found none");
    fill(&r, 9);
    check_refused(path, &r, 1, "/layers: expected 1 entries, found 2");
}

static void damaged_files_are_refused(void **state)
{
    const char *path = files_path(*state, "spectra.h5");
    size_t bytes;
    CHECK_OK(write_record(path, 1));
    char *whole = files_read(path, &bytes);
    for (size_t i = 0; i < bytes; i += 37) {
        whole[i] ^= (char)(1 << i % 8);
        files_write(*state, "spectra.h5", whole, bytes);
        CHECK_FAILS(write_record(path, 2), SODA_ERR_INPUT);
        check_message_has(path);
        whole[i] ^= (char)(1 << i % 8);
    }
    for (size_t length = 0; length < bytes; length += 41) {
        files_write(*state, "spectra.h5", whole, length);
        CHECK_FAILS(write_record(path, 2), SODA_ERR_INPUT);
    }
    files_write(*state, "spectra.h5", "soda-checkpoint\n", 17);
    CHECK_FAILS(write_record(path, 2), SODA_ERR_INPUT);
    assert_int_equal(files_count(*state), 1);
    files_write(*state, "spectra.h5", whole, bytes);
    CHECK_OK(write_record(path, 2));
    check_file(path, (const int64_t[]){1, 2}, 2);
    free(whole);
}

static void a_full_disk_leaves_the_old_file(void **state)
{
    const char *path = files_path(*state, "spectra.h5");
    CHECK_OK(write_record(path, 1));
    for (rlim_t room = 0; room < 10000; room += 1000) {
        files_limit(room);
        const soda_status status = write_record(path, 2);
        files_limit(RLIM_INFINITY);
        CHECK_FAILS(status, SODA_ERR_IO);
        check_message_has("spectra.h5: cannot write: File too large");
        check_file(path, (const int64_t[]){1}, 1);
        assert_int_equal(files_count(*state), 1);
    }
    CHECK_FAILS(write_record(files_path(*state, "absent/spectra.h5"), 1), SODA_ERR_IO);
    check_message_has("absent/spectra.h5: cannot create: No such file");
}

/* Kills `child`, and proves that this ended it. */
static void check_killed(pid_t child)
{
    int status;
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void a_kill_harms_no_record(void **state)
{
    const char *path = files_path(*state, "spectra.h5");
    for (int kill_at = 0; kill_at < 10; kill_at++) {
        int64_t steps[ROWS];
        CHECK_OK(write_record(path, 0));
        const pid_t child = fork();
        for (int64_t step = 1; child == 0 && step < 20; step++)
            if (write_record(path, step) != SODA_OK) _exit(1);
        while (child == 0) pause(); /* whenever the signal comes, there is something to kill */
        nanosleep(&(struct timespec){0, 3000000 * kill_at}, NULL);
        check_killed(child);
        CHECK_OK(write_record(path, 20)); /* it can be read, and goes on */
        const hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
        const hid_t set = H5Dopen2(file, "/steps", H5P_DEFAULT), space = H5Dget_space(set);
        const int rows = (int)H5Sget_simple_extent_npoints(space);
        H5Sclose(space);
        H5Dclose(set);
        H5Fclose(file);
        assert_in_range(rows, 2, ROWS);
        for (int i = 0; i < rows; i++) steps[i] = i < rows - 1 ? i : 20;
        check_file(path, steps, rows);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(records_are_added, files_setup, files_teardown),
        cmocka_unit_test_setup_teardown(resuming_replaces_later_records, files_setup,
                                        files_teardown),
        cmocka_unit_test_setup_teardown(a_file_that_became_anothers_stays, files_setup,
                                        files_teardown),
        cmocka_unit_test_setup_teardown(layers_that_do_not_fit_are_refused, files_setup,
                                        files_teardown),
        cmocka_unit_test_setup_teardown(damaged_files_are_refused, files_setup, files_teardown),
        cmocka_unit_test_setup_teardown(a_full_disk_leaves_the_old_file, files_setup,
                                        files_teardown),
        cmocka_unit_test_setup_teardown(a_kill_harms_no_record, files_setup, files_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
