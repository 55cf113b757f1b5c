#include "app/inspect_data.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "core/file_kind.h"
#include "data/image_folder.h"
#include "image/image.h"
#include "pipeline/text.h"
#include "tokenizer/tokenizer.h"

enum { PATH_SIZE = 4096, MAX_FILE = 1 << 30 };

/* What the headers of all pictures say. */
typedef struct {
    int64_t read, bad, least[2], most[2]; /* sides: shorter, longer */
    char first_bad[1024];
} picture_sizes;

static soda_status read_size(const char *path, soda_image *image)
{
    void *bytes;
    size_t size;
    TRY(file_read(path, MAX_FILE, &bytes, &size));
    const soda_status s = image_size(bytes, size, path, image);
    free(bytes);
    TRY(s);
    return SODA_OK;
}

static soda_status read_sizes(const image_folder *f, picture_sizes *sizes)
{
    char path[PATH_SIZE];
    for (int64_t i = 0; i < f->list.count; i++) {
        soda_image image;
        TRY(image_folder_path(f, i, path, sizeof path));
        if (read_size(path, &image) != SODA_OK) {
            if (sizes->bad++ == 0)
                snprintf(sizes->first_bad, sizeof sizes->first_bad, "%s", status_message());
            status_clear();
            continue;
        }
        const bool wide = image.width > image.height;
        const int64_t side[2] = {wide ? image.height : image.width,
                                 wide ? image.width : image.height};
        for (int k = 0; k < 2; k++) {
            if (sizes->read == 0 || side[k] < sizes->least[k]) sizes->least[k] = side[k];
            if (sizes->read == 0 || side[k] > sizes->most[k]) sizes->most[k] = side[k];
        }
        sizes->read++;
    }
    return SODA_OK;
}

static void print_captions(const image_folder *f)
{
    const image_item *longest = &f->list.items[0];
    int64_t empty = 0, class_texts = 0;
    for (int64_t i = 0; i < f->list.count; i++) {
        const image_item *item = &f->list.items[i];
        if (strlen(item->text) > strlen(longest->text)) longest = item;
        empty += !item->text[0];
        class_texts += item->class_text != NULL;
    }
    printf("captions: %lld empty, %lld pictures with a class_text, longest %zu bytes (%s)\n",
           (long long)empty, (long long)class_texts, strlen(longest->text), longest->file);
}

/* How many captions are cut, and the longest in tokens. */
static soda_status print_tokens(const image_folder *f, const char *model)
{
    enum { MOST = 65536 };
    soda_folder *folder = NULL;
    soda_tokenizer *tokenizer = NULL;
    soda_tokens tokens = {0};
    char path[PATH_SIZE];
    int64_t cut = 0, longest = 0, which = 0;
    soda_status s = SODA_OK;
    const char **texts = malloc((size_t)f->list.count * sizeof *texts);
    int32_t *ids = malloc(MOST * sizeof *ids);
    if (!texts || !ids) {
        s = FAIL(SODA_ERR_MEMORY, "out of memory for a list of captions");
        goto done;
    }
    for (int64_t i = 0; i < f->list.count; i++) texts[i] = f->list.items[i].text;
    TRY_TO(done, folder_open(model, &folder));
    TRY_TO(done, text_tokenize(folder, texts, f->list.count, &tokens));
    TRY_TO(done, folder_path(folder, "tokenizer", "", path, sizeof path));
    TRY_TO(done, tokenizer_open(path, &tokenizer));
    for (int64_t i = 0; i < f->list.count; i++) {
        int64_t length = 1;
        cut += tokens.is_cut[i];
        TRY_TO(done, tokenizer_encode(tokenizer, texts[i], ids, MOST, NULL));
        while (length < MOST && ids[length] != tokenizer_eos(tokenizer)) length++;
        if (length - 1 <= longest) continue;
        longest = length - 1;
        which = i;
    }
    printf(
        "tokens: %lld of %lld captions are longer than the %lld tokens that %s reads; the longest "
        "has %lld (%s)\n",
        (long long)cut, (long long)f->list.count, (long long)tokens.tokens - 2, model,
        (long long)longest, f->list.items[which].file);
done:
    text_tokens_free(&tokens);
    tokenizer_close(tokenizer);
    folder_close(folder);
    free(ids);
    free(texts);
    return s;
}

soda_status inspect_data(const char *path, const char *model)
{
    image_folder *f;
    picture_sizes sizes = {0};
    char line[1024];
    soda_status s = SODA_OK;
    TRY(image_folder_open(path, &f));
    TRY_TO(done, read_sizes(f, &sizes));
    printf("%s: %lld picture%s with captions\n", path, (long long)f->list.count,
           f->list.count == 1 ? "" : "s");
    if (sizes.read)
        printf(
            "sizes after rotation by EXIF: shorter side %lld to %lld, longer side %lld to %lld\n",
            (long long)sizes.least[0], (long long)sizes.most[0], (long long)sizes.least[1],
            (long long)sizes.most[1]);
    if (sizes.bad)
        printf("%lld picture%s cannot be read; the first: %s\n", (long long)sizes.bad,
               sizes.bad == 1 ? "" : "s", sizes.first_bad);
    print_captions(f);
    for (int kind = 0; kind < LEFT_OUT_KINDS; kind++)
        if (image_folder_left_out(f, kind, line, sizeof line)) printf("%s\n", line);
    if (model) s = print_tokens(f, model);
done:
    image_folder_close(f);
    return s;
}

soda_status inspect_picture(const char *path, bool *is_picture)
{
    char start[512];
    void *bytes;
    size_t size;
    soda_image image;
    FILE *file = fopen(path, "rb");
    if (!file) return FAIL(SODA_ERR_IO, "%s: cannot be read", path);
    const char *kind = file_kind(start, fread(start, 1, sizeof start, file));
    fclose(file);
    *is_picture = kind && strstr(kind, " picture");
    if (!*is_picture) return SODA_OK;
    TRY(file_read(path, MAX_FILE, &bytes, &size));
    const soda_status s = image_decode(bytes, size, path, &image);
    free(bytes);
    TRY(s);
    printf("%s: %s, %lldx%lld after rotation by EXIF%s\n", path, kind, (long long)image.width,
           (long long)image.height, image.no_end ? "; the end of the file is missing" : "");
    image_free(&image);
    return SODA_OK;
}

soda_status inspect_tokenizer(const char *path, const char *label)
{
    soda_tokenizer *tokenizer;
    TRY(tokenizer_open(path, &tokenizer));
    printf("%-16s %5d tokens, BOS %d, EOS %d, padding %d, ", label, tokenizer_id_count(tokenizer),
           tokenizer_bos(tokenizer), tokenizer_eos(tokenizer), tokenizer_pad(tokenizer));
    if (tokenizer_length(tokenizer) < 65536)
        printf("prompts of up to %d\n", tokenizer_length(tokenizer));
    else
        printf("prompts up to the length of the text encoder\n");
    tokenizer_close(tokenizer);
    return SODA_OK;
}
