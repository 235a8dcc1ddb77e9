/* For the tests: apply many patches in one process.
 *
 *     apply_batch QUESTIONS ANSWERS [PAGE_SIZE [FAILING]]
 *
 * QUESTIONS holds, again and again: patch length, base length (32 bits each), floor, whether there is a clock, what
 * it shows (64 bits each), patch, base.
 * With a page size, results are written page by page, and the write that is numbered FAILING (from 1) fails.
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

struct flash {
    uint8_t *bytes;
    size_t length, page_size, written;
    unsigned long failing;
};

/* Takes whole pages in order only, the last one excepted. */
static int write_page(void *context, size_t at, const uint8_t *page, size_t length)
{
    struct flash *flash = context;
    size_t left = flash->length - at;
    if (at != flash->written || length != (left < flash->page_size ? left : flash->page_size))
        exit(3);
    if (at / flash->page_size + 1 == flash->failing)
        return 1;
    memcpy(flash->bytes + at, page, length);
    flash->written += length;
    return 0;
}

static enum obliq_answer apply(const uint8_t *patch, size_t patch_length, const uint8_t *base, size_t base_length,
                               uint64_t floor, const uint64_t *now, uint8_t *result, size_t page_size,
                               unsigned long failing)
{
    struct flash flash = {result, base_length, page_size, 0, failing};
    struct obliq_slot slot = {result, base_length, NULL, page_size, write_page, &flash};
    enum obliq_answer answer;
    if (page_size == 0)
        return obliq_patch_apply(patch, patch_length, base, base_length, floor, now, result, base_length);
    slot.page = malloc(page_size + OBLIQ_OVERHANG);
    if (slot.page == NULL)
        exit(2);
    answer = obliq_patch_write(patch, patch_length, base, base_length, floor, now, &slot);
    free(slot.page);
    return answer;
}

int main(int count, char **names)
{
    uint8_t head[32];
    FILE *questions = count >= 3 ? fopen(names[1], "rb") : NULL, *answers = count >= 3 ? fopen(names[2], "wb") : NULL;
    size_t page_size = count > 3 ? (size_t)strtoul(names[3], NULL, 10) : 0;
    unsigned long failing = count > 4 ? strtoul(names[4], NULL, 10) : 0;
    if (questions == NULL || answers == NULL)
        return 2;
    while (fread(head, 1, sizeof head, questions) == sizeof head) {
        size_t patch_length = (size_t)number(head, 4), base_length = (size_t)number(head + 4, 4);
        uint8_t *patch = read_exactly(questions, patch_length), *base = read_exactly(questions, base_length);
        uint8_t *result = malloc(base_length + (base_length == 0)), answer[4] = {0};
        uint64_t now = number(head + 24, 8);
        if (result == NULL)
            return 2;
        answer[0] = (uint8_t)apply(patch, patch_length, base, base_length, number(head + 8, 8),
                                   number(head + 16, 8) ? &now : OBLIQ_NO_CLOCK, result, page_size, failing);
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
