/* For the tests: apply many patches in one process.
 *
 *     apply_batch QUESTIONS ANSWERS
 *
 * QUESTIONS holds, again and again: patch length, base length (32 bits each), floor (64 bits), patch, base.
 * ANSWERS then holds for each: the answer (32 bits) and, where it is OBLIQ_APPLIED, the result. Each patch
 * and base is copied into a buffer of exactly its size, so that a sanitizer sees every byte beyond. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "obliq_patch.h"

static uint64_t number(const uint8_t *at, unsigned bytes)
{
    uint64_t value = 0;
    while (bytes-- > 0)
        value = value << 8 | at[bytes];
    return value;
}

static uint8_t *read_exactly(FILE *file, size_t length)
{
    uint8_t *made = malloc(length + (length == 0));
    if (made == NULL || fread(made, 1, length, file) != length)
        exit(2);
    return made;
}

int main(int count, char **names)
{
    uint8_t head[16];
    FILE *questions = count == 3 ? fopen(names[1], "rb") : NULL, *answers = count == 3 ? fopen(names[2], "wb") : NULL;
    if (questions == NULL || answers == NULL)
        return 2;
    while (fread(head, 1, sizeof head, questions) == sizeof head) {
        size_t patch_length = (size_t)number(head, 4), base_length = (size_t)number(head + 4, 4);
        uint8_t *patch = read_exactly(questions, patch_length), *base = read_exactly(questions, base_length);
        uint8_t *result = malloc(base_length + (base_length == 0)), answer[4] = {0};
        if (result == NULL)
            return 2;
        answer[0] = (uint8_t)obliq_patch_apply(patch, patch_length, base, base_length, number(head + 8, 8), result,
                                               base_length);
        fwrite(answer, 1, sizeof answer, answers);
        if (answer[0] == OBLIQ_APPLIED)
            fwrite(result, 1, base_length, answers);
        free(patch);
        free(base);
        free(result);
    }
    fclose(questions);
    return fclose(answers) == 0 ? 0 : 2;
}
