#include "tokenizer/bpe.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "tokenizer/unicode.h"

#define WORD_END "</w>"

typedef struct {
    int32_t left, right; /* left < 0: an empty slot */
    int32_t rank, whole;
} merge;

struct soda_bpe {
    int32_t first[256]; /* the id of a byte inside a word */
    int32_t last[256];  /* and at its end */
    merge *merges;      /* a hash table with open addressing */
    uint64_t mask;      /* number of slots, a power of two, less 1 */
};

/* ---- merges ---- */

static merge *find_slot(const soda_bpe *bpe, int32_t left, int32_t right)
{
    uint64_t hash = ((uint64_t)(uint32_t)left << 32 | (uint32_t)right) * 0x9E3779B97F4A7C15u;
    for (hash ^= hash >> 32;; hash++) {
        merge *slot = &bpe->merges[hash & bpe->mask];
        if (slot->left < 0 || (slot->left == left && slot->right == right)) return slot;
    }
}

static const merge *find_merge(const soda_bpe *bpe, int32_t left, int32_t right)
{
    const merge *slot = find_slot(bpe, left, right);
    return slot->left < 0 ? NULL : slot;
}

static int32_t find_token(const soda_json *vocab, const char *token, size_t bytes)
{
    const json_t *id = json_object_getn(vocab->object, token, bytes);
    return id ? (int32_t)json_integer_value(id) : -1;
}

/* One line of merges.txt, without its end. `text` is scratch of at least `bytes`. */
static soda_status read_merge(soda_bpe *bpe, const soda_json *vocab, const char *line, size_t bytes,
                              char *text, const char *file, int64_t number, int32_t rank)
{
    const char *space = memchr(line, ' ', bytes);
    const size_t left = space ? (size_t)(space - line) : 0;
    if (!space || !left || left + 1 == bytes || memchr(space + 1, ' ', bytes - left - 1))
        return FAIL(SODA_ERR_INPUT, "%s:%lld: expected two tokens and one space, found \"%.*s\"",
                    file, (long long)number, bytes > 80 ? 80 : (int)bytes, line);
    const size_t right = bytes - left - 1;
    memcpy(text, line, left);
    memcpy(text + left, space + 1, right);
    const struct {
        const char *token;
        size_t bytes;
    } need[3] = {{line, left}, {space + 1, right}, {text, left + right}};
    int32_t id[3];
    for (int i = 0; i < 3; i++) {
        id[i] = find_token(vocab, need[i].token, need[i].bytes);
        if (id[i] < 0)
            return FAIL(SODA_ERR_INPUT, "%s:%lld: token \"%.*s\" is not in %s", file,
                        (long long)number, need[i].bytes > 80 ? 80 : (int)need[i].bytes,
                        need[i].token, vocab->file);
    }
    *find_slot(bpe, id[0], id[1]) = (merge){id[0], id[1], rank, id[2]}; /* the last one counts */
    return SODA_OK;
}

static soda_status read_merges(soda_bpe *bpe, const soda_json *vocab, const char *merges,
                               size_t bytes, const char *file)
{
    static const char version[] = "#version";
    soda_status s = SODA_OK;
    uint64_t slots = 2;
    for (size_t i = 0; i < bytes; i++) slots += merges[i] == '\n' ? 2 : 0;
    while (slots & (slots - 1)) slots += slots & -slots; /* up to a power of two: half is empty */
    bpe->mask = slots - 1;
    bpe->merges = malloc(slots * sizeof *bpe->merges);
    char *text = malloc(bytes + 1);
    if (!bpe->merges || !text) {
        s = FAIL(SODA_ERR_MEMORY, "%s: out of memory for the merges", file);
        goto done;
    }
    for (uint64_t i = 0; i < slots; i++) bpe->merges[i].left = -1;
    int64_t number = 0;
    int32_t rank = 0;
    for (size_t at = 0, next; at < bytes; at = next) {
        const char *line = merges + at, *end = memchr(line, '\n', bytes - at);
        size_t length = end ? (size_t)(end - line) : bytes - at;
        next = at + length + 1;
        number++;
        if (end && length && line[length - 1] == '\r') length--;
        if (length >= strlen(version) && memcmp(line, version, strlen(version)) == 0) continue;
        TRY_TO(done, read_merge(bpe, vocab, line, length, text, file, number, rank++));
    }
done:
    free(text);
    return s;
}

/* ---- vocabulary ---- */

soda_status bpe_check_vocab(const soda_json *vocab)
{
    soda_status s = SODA_OK;
    const size_t size = json_object_size(vocab->object);
    bool *taken = calloc(size + 1, sizeof *taken);
    if (!taken) return FAIL(SODA_ERR_MEMORY, "%s: out of memory", vocab->file);
    const char *token;
    json_t *id;
    json_object_foreach((json_t *)vocab->object, token, id)
    {
        const json_int_t value = json_integer_value(id);
        if (!json_is_integer(id) || value < 0 || value >= (json_int_t)size) {
            s = soda_json_refuse(vocab, token, "an id below the number of tokens");
            break;
        }
        if (taken[value]) {
            s = soda_json_refuse(vocab, token, "an id that no other token has");
            break;
        }
        taken[value] = true;
    }
    free(taken);
    return s;
}

/* GPT-2 gives every byte a printable character: itself if it is one, else the next from U+0100. */
static int32_t byte_character(int byte)
{
    int32_t next = 0x100;
    for (int b = 0; b <= byte; b++) {
        const bool printable = (b >= 0x21 && b <= 0x7E) || (b >= 0xA1 && b != 0xAD);
        if (b == byte) return printable ? b : next;
        if (!printable) next++;
    }
    return 0;
}

static soda_status read_bytes(soda_bpe *bpe, const soda_json *vocab, const char *unknown)
{
    const int32_t other = find_token(vocab, unknown, strlen(unknown));
    for (int b = 0; b < 256; b++) {
        char token[4 + sizeof WORD_END];
        const size_t bytes = unicode_encode(byte_character(b), token);
        memcpy(token + bytes, WORD_END, sizeof WORD_END);
        bpe->first[b] = find_token(vocab, token, bytes);
        bpe->last[b] = find_token(vocab, token, bytes + strlen(WORD_END));
        if ((bpe->first[b] < 0 || bpe->last[b] < 0) && other < 0)
            return FAIL(SODA_ERR_INPUT,
                        "%s: expected a token for every byte or for unk_token, found neither "
                        "\"%s\" nor \"%s\"",
                        vocab->file, token, unknown);
        if (bpe->first[b] < 0) bpe->first[b] = other;
        if (bpe->last[b] < 0) bpe->last[b] = other;
    }
    return SODA_OK;
}

soda_status bpe_read(const soda_json *vocab, const char *merges, size_t merges_bytes,
                     const char *merges_file, const char *unknown, soda_bpe **bpe)
{
    soda_status s = SODA_OK;
    soda_bpe *b = calloc(1, sizeof *b);
    if (!b) return FAIL(SODA_ERR_MEMORY, "%s: out of memory", vocab->file);
    TRY_TO(fail, read_bytes(b, vocab, unknown));
    TRY_TO(fail, read_merges(b, vocab, merges, merges_bytes, merges_file));
    *bpe = b;
    return SODA_OK;
fail:
    bpe_close(b);
    return s;
}

void bpe_close(soda_bpe *bpe)
{
    if (!bpe) return;
    free(bpe->merges);
    free(bpe);
}

/* ---- encoding ---- */

typedef struct {
    int32_t id; /* negative once it is part of its left neighbour */
    int32_t previous, next;
} symbol;

typedef struct {
    int32_t rank, place; /* a merge of the symbol at `place` with the next one */
    int32_t whole;       /* what it gives: if that changed since, the entry is stale */
} candidate;

typedef struct {
    candidate *entry; /* a binary heap, lowest rank first, then leftmost */
    size_t count;
} queue;

static bool is_before(candidate a, candidate b)
{
    return a.rank != b.rank ? a.rank < b.rank : a.place < b.place;
}

static void push(queue *q, candidate c)
{
    size_t i = q->count++;
    for (; i > 0 && is_before(c, q->entry[(i - 1) / 2]); i = (i - 1) / 2)
        q->entry[i] = q->entry[(i - 1) / 2];
    q->entry[i] = c;
}

static candidate pop(queue *q)
{
    const candidate top = q->entry[0], moved = q->entry[--q->count];
    size_t i = 0;
    for (size_t child = 1; child < q->count; child = 2 * i + 1) {
        if (child + 1 < q->count && is_before(q->entry[child + 1], q->entry[child])) child++;
        if (!is_before(q->entry[child], moved)) break;
        q->entry[i] = q->entry[child];
        i = child;
    }
    q->entry[i] = moved;
    return top;
}

/* Queues the merge of the symbol at `place` with the next one, if there is one. */
static void propose(const soda_bpe *bpe, queue *q, const symbol *word, int32_t place)
{
    if (place < 0 || word[place].next < 0) return;
    const merge *m = find_merge(bpe, word[place].id, word[word[place].next].id);
    if (m) push(q, (candidate){m->rank, place, m->whole});
}

/* Every byte is a symbol, and may be merged once; a merge proposes two others. */
size_t bpe_scratch_bytes(size_t bytes)
{
    return bytes * (sizeof(symbol) + 3 * sizeof(candidate) + sizeof(int32_t));
}

const int32_t *bpe_encode(const soda_bpe *bpe, const char *word, size_t bytes, void *scratch,
                          size_t *count)
{
    symbol *symbols = scratch;
    queue q = {(candidate *)(symbols + bytes), 0};
    int32_t *ids = (int32_t *)(q.entry + 3 * bytes);
    for (size_t i = 0; i < bytes; i++) {
        const uint8_t byte = (uint8_t)word[i];
        const bool is_last = i + 1 == bytes;
        symbols[i] = (symbol){is_last ? bpe->last[byte] : bpe->first[byte], (int32_t)i - 1,
                              is_last ? -1 : (int32_t)i + 1};
    }
    for (size_t i = 0; i + 1 < bytes; i++) propose(bpe, &q, symbols, (int32_t)i);
    while (q.count > 0) {
        const candidate c = pop(&q);
        symbol *left = &symbols[c.place];
        if (left->id < 0 || left->next < 0) continue;
        symbol *right = &symbols[left->next];
        const merge *m = find_merge(bpe, left->id, right->id);
        if (!m || m->whole != c.whole) continue;
        left->id = c.whole;
        left->next = right->next;
        right->id = -1;
        if (left->next >= 0) symbols[left->next].previous = c.place;
        propose(bpe, &q, symbols, left->previous);
        propose(bpe, &q, symbols, c.place);
    }
    *count = 0;
    for (int32_t i = 0; i >= 0; i = symbols[i].next) ids[(*count)++] = symbols[i].id;
    return ids;
}
