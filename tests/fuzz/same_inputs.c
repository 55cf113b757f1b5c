/* same_inputs.c: of every harness: jansson hashes keys with a seed of chance, from whose effects
 * libFuzzer would learn other inputs in each run. */
#include <jansson.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    json_object_seed(1);
    return 0;
}
