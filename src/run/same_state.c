#include "run/same_state.h"

#include <stdlib.h>
#include <string.h>

#include "core/sha256.h"

enum { ARRAYS = 3 };
static const char *const array_names[ARRAYS] = {"adapter", "first moment", "second moment"};

static void list_arrays(const soda_params *params, const float *array[ARRAYS])
{
    array[0] = params->host.value;
    array[1] = params->host.first;
    array[2] = params->host.second;
}

/* The start of a SHA-256 of all arrays. */
static soda_status hash_state(soda_params *params, int64_t *start)
{
    const float *array[ARRAYS];
    uint8_t digest[SHA256_BYTES];
    soda_sha256 *hash;
    soda_status s;
    TRY(params_fetch(params));
    list_arrays(params, array);
    TRY(sha256_create(&hash));
    for (int a = 0; a < ARRAYS; a++)
        TRY_TO(done, sha256_update(hash, array[a], (size_t)params->length * sizeof(float)));
    TRY_TO(done, sha256_finish(hash, digest));
    memcpy(start, digest, sizeof *start);
done:
    sha256_destroy(hash);
    return s;
}

/* The lowest rank of those that most ranks agree with; *clear: they are more than half. */
static int rank_of_most(const int64_t *hash, int size, bool *clear)
{
    int best = 0, most = 0;
    for (int r = 0; r < size; r++) {
        int like = 0;
        for (int other = 0; other < size; other++) like += hash[other] == hash[r];
        if (like > most) {
            most = like;
            best = r;
        }
    }
    *clear = 2 * most > size;
    return best;
}

static soda_status find_rank_of_most(soda_comm *comm, int64_t own, int *rank, bool *clear)
{
    int64_t *hash = calloc((size_t)comm->size, sizeof *hash);
    soda_status s;
    TRY_TO(done, comm_agree(comm, hash ? SODA_OK : FAIL(SODA_ERR_MEMORY, "out of memory")));
    if (!hash) return SODA_ERR_MEMORY; /* comm_agree said so */
    hash[comm->rank] = own;
    TRY_TO(done, comm->sum_i64(comm, hash, comm->size));
    *rank = rank_of_most(hash, comm->size, clear);
done:
    free(hash);
    return s;
}

/* NaN is the same as itself, and 0 is not -0. */
static bool has_same_bits(float a, float b)
{
    uint32_t bits[2];
    memcpy(&bits[0], &a, sizeof a);
    memcpy(&bits[1], &b, sizeof b);
    return bits[0] == bits[1];
}

/* Fails where an array is not that of rank `right`; what it has is broadcast into `theirs`. */
static soda_status compare_array(soda_comm *comm, const soda_params *params, const float *own,
                                 const char *name, float *theirs, int right)
{
    const size_t bytes = (size_t)params->length * sizeof(float);
    memcpy(theirs, own, bytes);
    TRY(comm->broadcast(comm, theirs, bytes, right));
    int64_t i = 0;
    while (i < params->length && has_same_bits(own[i], theirs[i])) i++;
    if (i == params->length) return SODA_OK;
    const params_tensor *tensor = params_at(params, i);
    return FAIL(SODA_ERR_INPUT, "%s: %s: value %lld is %.9g here, and %.9g on rank %d",
                tensor->name, name, (long long)(i - tensor->offset), (double)own[i],
                (double)theirs[i], right);
}

/* All ranks get here, and leave with a failure. */
static soda_status say_who_differs(soda_comm *comm, const soda_params *params, int64_t own,
                                   int64_t step)
{
    const float *array[ARRAYS];
    int right = 0;
    bool clear = false;
    soda_status s, differs = SODA_OK;
    list_arrays(params, array);
    TRY(find_rank_of_most(comm, own, &right, &clear));
    float *theirs = malloc((size_t)params->length * sizeof *theirs + 1);
    TRY_TO(done, comm_agree(comm, theirs ? SODA_OK : FAIL(SODA_ERR_MEMORY, "out of memory")));
    for (int a = 0; theirs && a < ARRAYS; a++) {
        const soda_status found =
            compare_array(comm, params, array[a], array_names[a], theirs, right);
        if (differs == SODA_OK) differs = found;
    }
    s = comm_agree(comm,
                   status_prefix(differs,
                                 "after step %lld this rank has another state, so nothing "
                                 "is saved (memory, CPU or a library of %s is at fault; "
                                 "leave it out and resume)",
                                 (long long)step, clear ? "this node" : "this node or the other"));
    if (s == SODA_OK)
        s = FAIL(SODA_ERR_INTERNAL, "after step %lld ranks hash the same state in two ways",
                 (long long)step);
done:
    free(theirs);
    return s;
}

soda_status same_state_check(soda_comm *comm, soda_params *params, int64_t step)
{
    int64_t own = 0;
    if (comm->size == 1) return SODA_OK;
    const soda_status s = hash_state(params, &own);
    int64_t largest[2] = {own, ~own}; /* ~ turns the order round: the other is the smallest */
    TRY(comm_agree_flags(comm, s, largest, 2));
    return largest[0] == ~largest[1] ? SODA_OK : say_who_differs(comm, params, own, step);
}
