#include "data/order.h"

#include <stdlib.h>
#include <string.h>

#include "core/philox.h"
#include "data/random_choices.h"

/* Pictures bucket by bucket, each bucket as epoch `epoch` shuffles it; -1: nothing yet. */
typedef struct {
    int64_t epoch;
    int64_t *image; /* [count] */
} shuffled;

/* Micro-batch number `index` of a bucket's stream. */
typedef struct {
    int64_t bucket, index;
} piece;

struct soda_order {
    order_options options;
    int64_t buckets;
    int64_t *bucket;    /* [count] of each picture, 0 .. buckets - 1 */
    int64_t *start;     /* [buckets + 1] first place of each bucket in shuffled.image */
    shuffled epochs[2]; /* even, odd: a micro-batch may lie in two epochs */
    int64_t listed;     /* the epoch of `pieces`, -1: none */
    int64_t first;      /* number of pieces[0] in the run */
    int64_t piece_count;
    piece *pieces;
    uint32_t *word;                /* scratch */
    int64_t *permutation, *filled; /* scratch [count], [buckets] */
};

static int64_t bucket_size(const soda_order *o, int64_t b) { return o->start[b + 1] - o->start[b]; }

/* How many micro-batches of bucket b end before epoch e. */
static int64_t pieces_before(const soda_order *o, int64_t b, int64_t e)
{
    return e * bucket_size(o, b) / o->options.batch;
}

static int64_t all_pieces_before(const soda_order *o, int64_t e)
{
    int64_t sum = 0;
    for (int64_t b = 0; b < o->buckets; b++) sum += pieces_before(o, b, e);
    return sum;
}

/* Epoch e's words: the first [count] shuffle the pictures, those behind them the micro-batches. */
static void draw_words(soda_order *o, int64_t e, int64_t words)
{
    philox_bits(philox_seed(o->options.seed), philox_at((uint64_t)e, PHILOX_ORDER), o->word, words);
}

/* Shuffles all pictures (Fisher and Yates), then puts each into its bucket, in that order. */
static const int64_t *shuffle_images(soda_order *o, int64_t e)
{
    shuffled *s = &o->epochs[e % 2];
    const int64_t n = o->options.count;
    if (s->epoch == e) return s->image;
    draw_words(o, e, n);
    for (int64_t i = 0; i < n; i++) {
        const int64_t j = philox_below(o->word[i], i + 1);
        o->permutation[i] = o->permutation[j];
        o->permutation[j] = i;
    }
    memcpy(o->filled, o->start, (size_t)o->buckets * sizeof *o->filled);
    for (int64_t i = 0; i < n; i++)
        s->image[o->filled[o->bucket[o->permutation[i]]]++] = o->permutation[i];
    s->epoch = e;
    return s->image;
}

static void list_pieces(soda_order *o, int64_t e)
{
    o->piece_count = 0;
    o->first = all_pieces_before(o, e);
    o->listed = e;
    for (int64_t b = 0; b < o->buckets; b++)
        for (int64_t i = pieces_before(o, b, e); i < pieces_before(o, b, e + 1); i++)
            o->pieces[o->piece_count++] = (piece){b, i};
    if (o->buckets == 1) return;
    draw_words(o, e, o->options.count + o->piece_count);
    for (int64_t i = 0; i < o->piece_count; i++) {
        const int64_t j = philox_below(o->word[o->options.count + i], i + 1);
        const piece kept = o->pieces[i];
        o->pieces[i] = o->pieces[j];
        o->pieces[j] = kept;
    }
}

/* Micro-batch `number` of the run. */
static piece find_piece(soda_order *o, int64_t number)
{
    if (o->listed < 0 || number < o->first || number >= o->first + o->piece_count) {
        /* before epoch e end at least e count / batch - buckets micro-batches */
        int64_t low = 0;
        int64_t high = (number + o->buckets + 1) * o->options.batch / o->options.count + 2;
        while (high - low > 1) {
            const int64_t middle = low + (high - low) / 2;
            if (all_pieces_before(o, middle) <= number)
                low = middle;
            else
                high = middle;
        }
        list_pieces(o, low);
    }
    return o->pieces[number - o->first];
}

void order_samples(soda_order *o, int64_t step, int64_t micro, order_sample *samples)
{
    const order_options *p = &o->options;
    const piece at = find_piece(o, step * (p->global_batch / p->batch) + micro);
    const int64_t size = bucket_size(o, at.bucket);
    for (int64_t i = 0; i < p->batch; i++) {
        const int64_t place = at.index * p->batch + i; /* in the bucket's stream */
        const int64_t *image = shuffle_images(o, place / size) + o->start[at.bucket];
        const uint64_t number = (uint64_t)(step * p->global_batch + micro * p->batch + i);
        samples[i] = (order_sample){
            .number = number,
            .image = image[place % size],
            .variant = random_choices_variant(p->seed, number, p->variants),
            .drop_caption = random_choices_drop_caption(p->seed, number, p->caption_dropout),
        };
    }
}

/* Numbers the buckets that have pictures 0, 1, ... and finds where each starts. */
static void number_buckets(soda_order *o, const int64_t *bucket)
{
    const int64_t n = o->options.count;
    int64_t *size = o->permutation; /* by the caller's numbers, then the new number of each */
    memset(size, 0, (size_t)n * sizeof *size);
    for (int64_t i = 0; i < n; i++) size[bucket ? bucket[i] : 0]++;
    for (int64_t b = 0; b < n; b++) {
        if (!size[b]) continue;
        o->start[o->buckets + 1] = o->start[o->buckets] + size[b];
        size[b] = o->buckets++;
    }
    for (int64_t i = 0; i < n; i++) o->bucket[i] = size[bucket ? bucket[i] : 0];
}

soda_status order_create(const order_options *options, soda_order **order)
{
    const size_t n = (size_t)options->count, room = 2 * n + n / (size_t)options->batch + 2;
    soda_order *o = *order = calloc(1, sizeof *o);
    if (!o) return FAIL(SODA_ERR_MEMORY, "out of memory");
    o->options = *options;
    o->options.bucket = NULL;
    o->listed = o->epochs[0].epoch = o->epochs[1].epoch = -1;
    o->bucket = malloc(n * sizeof *o->bucket);
    o->start = calloc(n + 1, sizeof *o->start);
    o->epochs[0].image = malloc(n * sizeof(int64_t));
    o->epochs[1].image = malloc(n * sizeof(int64_t));
    o->pieces = malloc((room - n) * sizeof *o->pieces);
    o->word = malloc(room * sizeof *o->word);
    o->permutation = malloc(n * sizeof *o->permutation);
    o->filled = malloc(n * sizeof *o->filled);
    if (!o->bucket || !o->start || !o->epochs[0].image || !o->epochs[1].image || !o->pieces ||
        !o->word || !o->permutation || !o->filled) {
        order_destroy(o);
        *order = NULL;
        return FAIL(SODA_ERR_MEMORY, "out of memory for the order of %zu pictures", n);
    }
    number_buckets(o, options->bucket);
    return SODA_OK;
}

void order_destroy(soda_order *o)
{
    if (!o) return;
    free(o->bucket);
    free(o->start);
    free(o->epochs[0].image);
    free(o->epochs[1].image);
    free(o->pieces);
    free(o->word);
    free(o->permutation);
    free(o->filled);
    free(o);
}
