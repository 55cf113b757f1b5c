#include "run/same_state.h"

#include <stdlib.h>
#include <string.h>

enum { ARRAYS = 3 };
_Static_assert(sizeof(params_sums) == ARRAYS * sizeof(int64_t), "sums as integers of a reduction");
static const char *const array_names[ARRAYS] = {"adapter", "first moment", "second moment"};

static void list_arrays(const soda_params *params, const float *array[ARRAYS])
{
    array[0] = params->host.value;
    array[1] = params->host.first;
    array[2] = params->host.second;
}

/* The lowest rank of those that most ranks agree with; *clear: they are more than half. */
static int rank_of_most(const params_sums *sums, int size, bool *clear)
{
    int best = 0, most = 0;
    for (int r = 0; r < size; r++) {
        int like = 0;
        for (int other = 0; other < size; other++)
            like += memcmp(&sums[other], &sums[r], sizeof *sums) == 0;
        if (like > most) {
            most = like;
            best = r;
        }
    }
    *clear = 2 * most > size;
    return best;
}

static soda_status find_rank_of_most(soda_comm *comm, const params_sums *own, int *rank,
                                     bool *clear)
{
    params_sums *sums = calloc((size_t)comm->size, sizeof *sums);
    soda_status s;
    TRY_TO(done, comm_agree(comm, sums ? SODA_OK : FAIL(SODA_ERR_MEMORY, "out of memory")));
    if (!sums) return SODA_ERR_MEMORY; /* comm_agree said so */
    sums[comm->rank] = *own;
    TRY_TO(done, comm->sum_i64(comm, (int64_t *)sums, (int64_t)ARRAYS * comm->size));
    *rank = rank_of_most(sums, comm->size, clear);
done:
    free(sums);
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

/* Fails where an array is not `theirs`, that of rank `right`. */
static soda_status compare_array(const soda_params *params, const float *own, const char *name,
                                 const float *theirs, int right)
{
    int64_t i = 0;
    while (i < params->length && has_same_bits(own[i], theirs[i])) i++;
    if (i == params->length) return SODA_OK;
    const params_tensor *tensor = params_at(params, i);
    return FAIL(SODA_ERR_INPUT, "%s: %s: value %lld is %.9g here, and %.9g on rank %d",
                tensor->name, name, (long long)(i - tensor->offset), (double)own[i],
                (double)theirs[i], right);
}

/* All ranks get here, and leave with a failure. */
static soda_status say_who_differs(soda_comm *comm, soda_params *params, const params_sums *sums,
                                   int64_t step)
{
    const float *array[ARRAYS];
    int right = 0;
    bool clear = false;
    soda_status s, differs = SODA_OK;
    TRY(comm_agree(comm, params_fetch(params)));
    list_arrays(params, array);
    TRY(find_rank_of_most(comm, sums, &right, &clear));
    float *theirs = malloc((size_t)params->length * sizeof *theirs + 1);
    TRY_TO(done, comm_agree(comm, theirs ? SODA_OK : FAIL(SODA_ERR_MEMORY, "out of memory")));
    for (int a = 0; theirs && a < ARRAYS; a++) {
        const size_t bytes = (size_t)params->length * sizeof *theirs;
        memcpy(theirs, array[a], bytes);
        const soda_status got = comm->broadcast(comm, theirs, bytes, right);
        if (differs == SODA_OK) differs = got;
        if (differs == SODA_OK)
            differs = compare_array(params, array[a], array_names[a], theirs, right);
    }
    s = comm_agree(comm,
                   status_prefix(differs,
                                 "after step %lld this rank has another state, so nothing "
                                 "is saved (memory, CPU or a library of %s is at fault; "
                                 "leave it out and resume)",
                                 (long long)step, clear ? "this node" : "this node or the other"));
    if (s == SODA_OK)
        s = FAIL(SODA_ERR_INTERNAL, "after step %lld ranks add up the same state in two ways",
                 (long long)step);
done:
    free(theirs);
    return s;
}

/* Of all ranks, the largest of each sum and of its complement: ~ turns the order round. */
static bool are_same(const int64_t most[2 * ARRAYS])
{
    bool same = true;
    for (int a = 0; a < ARRAYS; a++) same &= most[a] == ~most[ARRAYS + a];
    return same;
}

soda_status same_state_check(soda_comm *comm, soda_params *params, soda_status own,
                             const params_sums *sums, int64_t step)
{
    int64_t most[2 * ARRAYS];
    memcpy(most, sums, sizeof *sums);
    for (int a = 0; a < ARRAYS; a++) most[ARRAYS + a] = ~most[a];
    TRY(comm_agree_flags(comm, own, most, 2 * ARRAYS));
    return are_same(most) || comm->size == 1 ? SODA_OK : say_who_differs(comm, params, sums, step);
}
