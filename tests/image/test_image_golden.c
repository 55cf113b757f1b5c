/* Pictures in every format and layout decode to the pixels that Pillow shows
 * (tests/golden/make_images.py). */
#include "support/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "image/image.h"
#include "io/safetensors.h"

/* Lossy formats: two decoders may round a colour conversion differently. */
static int bound_of(const char *name) { return !strncmp(name, "jpeg", 4) ? 1 : 0; }

static void check_picture(const char *name, const safetensors_tensor *file,
                          const safetensors_tensor *want)
{
    soda_image image, size;
    int worst = 0;
    if (image_decode(file->data, file->bytes, name, &image) != SODA_OK)
        fail_msg("%s", status_message());
    CHECK_OK(image_size(file->data, file->bytes, name, &size));
    if (image.height != want->dim[0] || image.width != want->dim[1] ||
        size.height != image.height || size.width != image.width)
        fail_msg("%s: %lldx%lld instead of %lldx%lld", name, (long long)image.width,
                 (long long)image.height, (long long)want->dim[1], (long long)want->dim[0]);
    for (size_t i = 0; i < want->bytes; i++) {
        const int off = abs(image.rgb[i] - ((const uint8_t *)want->data)[i]);
        if (off > worst) worst = off;
    }
    if (worst > bound_of(name)) fail_msg("%s: a value is off by %d", name, worst);
    image_free(&image);
}

static void pixels_are_those_of_pillow(void **state)
{
    (void)state;
    soda_safetensors *set;
    int pictures = 0;
    CHECK_OK(safetensors_open(SODA_TEST_DIR "/golden/images.safetensors", &set));
    for (int i = 0; i < safetensors_count(set); i++) {
        const safetensors_tensor *file = safetensors_at(set, i);
        char name[64];
        const size_t length = strlen(file->name);
        if (length < 5 || strcmp(file->name + length - 5, ".file") != 0) continue;
        snprintf(name, sizeof name, "%.*s.rgb", (int)length - 5, file->name);
        const safetensors_tensor *want = safetensors_find(set, name);
        assert_non_null(want);
        check_picture(file->name, file, want);
        pictures++;
    }
    assert_true(pictures > 80);
    safetensors_close(set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(pixels_are_those_of_pillow)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
