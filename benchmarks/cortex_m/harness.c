/* Runs an exported network on a bare Cortex-M under QEMU: start-up, files over semihosting, counts.
 *
 * Reads NETWORK_INPUTS floats an image from inputs.bin until its end. Writes NETWORK_CLASSES floats an image to
 * logits.bin, and to counts.bin three uint32 an image: ticks of `network_run`, ticks of a loop of COUNTED instructions,
 * and bytes of stack below `main`. The exit status is 0, or 1 where something failed.
 */
#include <stdint.h>
#define NETWORK_DECLARATIONS
#include "network.c"

#define TURNS 500000u /* of a loop of two instructions: COUNTED in cortex_m.py is their product */
#define PAINT 0xA5A5A5A5u
#define CPACR (*(volatile uint32_t *)0xE000ED88u)         /* access to the floating-point unit */
#define TIMER_CONTROL (*(volatile uint32_t *)0x40000000u) /* the board's first timer, which counts down */
#define TIMER_VALUE (*(volatile uint32_t *)0x40000004u)
#define TIMER_RELOAD (*(volatile uint32_t *)0x40000008u)

enum { SYS_OPEN = 0x01, SYS_CLOSE = 0x02, SYS_WRITE = 0x05, SYS_READ = 0x06, SYS_EXIT_EXTENDED = 0x20 };
enum { READ_BINARY = 1, WRITE_BINARY = 5, APPLICATION_EXIT = 0x20026 };

extern uint32_t data_in_flash[], data_start[], data_end[], bss_start[], bss_end[], stack_top[];

static float input[NETWORK_INPUTS], logits[NETWORK_CLASSES];
static uint8_t scratch[NETWORK_SCRATCH];

static int32_t semihosting(int32_t operation, const void *arguments)
{
    register int32_t r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = arguments;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

static void stop(uint32_t status)
{
    const uint32_t arguments[] = {APPLICATION_EXIT, status};
    semihosting(SYS_EXIT_EXTENDED, arguments);
    for (;;)
        ;
}

static int32_t opened(const char *name, uint32_t length, uint32_t mode)
{
    const uint32_t arguments[] = {(uint32_t)name, mode, length};
    const int32_t file = semihosting(SYS_OPEN, arguments);
    if (file < 0)
        stop(1);
    return file;
}

/* The number of bytes that were not read or not written. */
static uint32_t left(int32_t operation, int32_t file, const void *bytes, uint32_t size)
{
    const uint32_t arguments[] = {(uint32_t)file, (uint32_t)bytes, size};
    return (uint32_t)semihosting(operation, arguments);
}

static uint32_t ticks_of_loop(void)
{
    uint32_t turns = TURNS;
    const uint32_t start = TIMER_VALUE;
    __asm__ volatile("1: subs %0, %0, #1\n\tbne 1b" : "+r"(turns) : : "cc");
    return start - TIMER_VALUE;
}

static void run_images(void)
{
    const int32_t images = opened("inputs.bin", 10, READ_BINARY);
    const int32_t answers = opened("logits.bin", 10, WRITE_BINARY);
    const int32_t numbers = opened("counts.bin", 10, WRITE_BINARY);
    TIMER_RELOAD = UINT32_MAX;
    TIMER_VALUE = UINT32_MAX;
    TIMER_CONTROL = 1;
    while (left(SYS_READ, images, input, sizeof input) == 0) {
        uint32_t counts[3], start;
        volatile uint32_t *word, *here;
        counts[1] = ticks_of_loop();
        __asm__ volatile("mov %0, sp" : "=r"(here));
        for (word = bss_end; word < here; word++)
            *word = PAINT;
        start = TIMER_VALUE;
        if (network_run(network_image, input, logits, scratch))
            stop(1);
        counts[0] = start - TIMER_VALUE;
        for (word = bss_end; word < here && *word == PAINT;)
            word++;
        counts[2] = (uint32_t)here - (uint32_t)word;
        if (left(SYS_WRITE, answers, logits, sizeof logits) || left(SYS_WRITE, numbers, counts, sizeof counts))
            stop(1);
    }
    semihosting(SYS_CLOSE, &answers);
    semihosting(SYS_CLOSE, &numbers);
    stop(0);
}

static void fault(void)
{
    stop(1);
}

void reset(void)
{
    uint32_t *from = data_in_flash, *to;
    for (to = data_start; to < data_end;)
        *to++ = *from++;
    for (to = bss_start; to < bss_end;)
        *to++ = 0;
    CPACR |= 0xFu << 20;
    __asm__ volatile("dsb\n\tisb" : : : "memory");
    run_images();
}

/* The stack, reset, and the faults: non-maskable, hard, memory, bus, usage. */
__attribute__((section(".vectors"), used)) static const void *const vectors[] = {
    stack_top, (const void *)reset, (const void *)fault, (const void *)fault,
    (const void *)fault, (const void *)fault, (const void *)fault,
};
