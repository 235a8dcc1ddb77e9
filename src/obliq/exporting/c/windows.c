/* What a window covers along an axis but for the padding: `taps` of its elements from `first` on, which lie in the
 * activation from `place` on. */
struct reach {
    uint32_t first, taps, place;
};

static struct reach reach_of(const struct window *window, int axis, uint32_t at)
{
    const uint32_t gap = window->gap[axis], size = window->in[axis], before = window->before[axis];
    uint32_t place = at * window->stride[axis];
    struct reach found = {0, window->kernel[axis], 0};
    for (; found.taps > 0 && place < before; place += gap, found.first++)
        found.taps--;
    found.place = place - before;
    while (found.taps > 0 && found.place + (found.taps - 1) * gap >= size)
        found.taps--;
    if (found.taps == 0) /* all of it lies in the padding */
        found.place = 0;
    return found;
}

/* Codes that belong to one sum of a convolution, and the weights for them: `inputs` times `rows` lines of `length`. */
struct patch {
    const uint8_t *codes, *weights;
    uint32_t inputs, rows, length;
    size_t code_input, code_row, code_step; /* from one input, row or code to the next */
    size_t weight_input, weight_row;        /* the weights of a line are neighbours */
};

static struct patch patch_of(const struct window *w, uint32_t inputs, const struct reach *high,
                             const struct reach *wide, const uint8_t *codes, const uint8_t *weights)
{
    const size_t taps = (size_t)w->kernel[0] * w->kernel[1], plane = (size_t)w->in[0] * w->in[1];
    struct patch found;
    found.codes = codes + (size_t)high->place * w->in[1] + wide->place;
    found.weights = weights + (size_t)high->first * w->kernel[1] + wide->first;
    if (taps == 1 && high->taps + wide->taps == 2) { /* the inputs of one place are a line, too */
        found.inputs = found.rows = 1;
        found.length = inputs;
        found.code_step = plane;
    } else {
        found.inputs = inputs;
        found.rows = high->taps;
        found.length = wide->taps;
        found.code_step = w->gap[1];
    }
    found.code_input = plane;
    found.code_row = (size_t)w->gap[0] * w->in[1];
    found.weight_input = taps;
    found.weight_row = w->kernel[1];
    return found;
}

/* The sum of weights times codes. Sums are added up without a sign, so that even those of an image that no network has
 * are defined. */
static uint32_t sum_one(const struct patch *patch, int32_t zero)
{
    uint32_t input, row, i;
    uint32_t total = 0;
    for (input = 0; input < patch->inputs; input++)
        for (row = 0; row < patch->rows; row++) {
            const uint8_t *code = patch->codes + input * patch->code_input + row * patch->code_row;
            const int8_t *weight =
                (const int8_t *)patch->weights + input * patch->weight_input + row * patch->weight_row;
            for (i = 0; i < patch->length; i++)
                total += (uint32_t)(weight[i] * ((int32_t)code[i * patch->code_step] - zero));
        }
    return total;
}

/* The same for four outputs at once, whose weights are `apart` bytes apart: each code is read once. */
static void sum_four(const struct patch *patch, int32_t zero, size_t apart, uint32_t *sums)
{
    uint32_t input, row, i;
    uint32_t first = 0, second = 0, third = 0, fourth = 0;
    for (input = 0; input < patch->inputs; input++)
        for (row = 0; row < patch->rows; row++) {
            const uint8_t *code = patch->codes + input * patch->code_input + row * patch->code_row;
            const int8_t *one =
                (const int8_t *)patch->weights + input * patch->weight_input + row * patch->weight_row;
            const int8_t *two = one + apart, *three = two + apart, *four = three + apart;
            for (i = 0; i < patch->length; i++) {
                const int32_t value = (int32_t)code[i * patch->code_step] - zero;
                first += (uint32_t)(one[i] * value);
                second += (uint32_t)(two[i] * value);
                third += (uint32_t)(three[i] * value);
                fourth += (uint32_t)(four[i] * value);
            }
        }
    sums[0] = first;
    sums[1] = second;
    sums[2] = third;
    sums[3] = fourth;
}

/* round((bias + sum of weights times codes) * (scale of x * scale of weights / scale of y)). A linear layer is a
 * convolution of one channel over a single place. */
static void convolution(const uint8_t *image, const struct layer *layer, const struct values *x,
                        const struct values *y)
{
    const struct window *w = &layer->window;
    const uint32_t inputs = w->channels / layer->groups, outputs = layer->outputs / layer->groups;
    const size_t apart = (size_t)inputs * w->kernel[0] * w->kernel[1];
    const size_t plane = (size_t)w->out[0] * w->out[1];
    const uint32_t refinement = image[layer->refinement];
    uint32_t output, together, row, column, i;
    for (output = 0; output < layer->outputs; output += together) {
        const uint8_t *codes = x->bytes + (size_t)(output / outputs) * inputs * w->in[0] * w->in[1];
        const uint8_t *weights = image + layer->codes + output * apart;
        float factors[4];
        uint32_t biases[4], sums[4];
        together = outputs - output % outputs < 4 ? 1 : 4;
        for (i = 0; i < together; i++) {
            const float scale = read_float(image + layer->scales + 4 * (output + i)) / (float)refinement;
            factors[i] = x->scale * scale / y->scale;
            biases[i] = read_word(image + layer->biases + 4 * (output + i));
        }
        for (row = 0; row < w->out[0]; row++) {
            const struct reach high = reach_of(w, 0, row);
            uint8_t *result = y->bytes + output * plane + (size_t)row * w->out[1];
            for (column = 0; column < w->out[1]; column++, result++) {
                const struct reach wide = reach_of(w, 1, column);
                const struct patch patch = patch_of(w, inputs, &high, &wide, codes, weights);
                if (together == 4)
                    sum_four(&patch, x->zero, apart, sums);
                else
                    sums[0] = sum_one(&patch, x->zero);
                for (i = 0; i < together; i++) {
                    const int32_t sum = (int32_t)(biases[i] + refinement * sums[i]);
                    result[i * plane] = byte_of((float)sum * factors[i], y);
                }
            }
        }
    }
}

/* round(sum * (scale of x / (scale of y * count))). */
static void average_pool(const struct window *w, const struct values *x, const struct values *y)
{
    const float factor = x->scale / (y->scale * (float)(w->kernel[0] * w->kernel[1]));
    uint8_t *result = y->bytes;
    uint32_t channel, row, column, i, j;
    for (channel = 0; channel < w->channels; channel++)
        for (row = 0; row < w->out[0]; row++)
            for (column = 0; column < w->out[1]; column++) {
                const size_t high = (size_t)channel * w->in[0] + row * w->stride[0];
                int32_t sum = 0;
                for (i = 0; i < w->kernel[0]; i++) {
                    const uint8_t *code = x->bytes + (high + i) * w->in[1] + column * w->stride[1];
                    for (j = 0; j < w->kernel[1]; j++)
                        sum += (int32_t)code[j] - x->zero;
                }
                *result++ = byte_of((float)sum * factor, y);
            }
}

/* The largest byte of each window; padding is never the largest. */
static void max_pool(const struct window *w, const struct values *x, const struct values *y)
{
    uint8_t *result = y->bytes;
    uint32_t channel, row, column, i, j;
    for (channel = 0; channel < w->channels; channel++)
        for (row = 0; row < w->out[0]; row++) {
            const struct reach high = reach_of(w, 0, row);
            for (column = 0; column < w->out[1]; column++) {
                const struct reach wide = reach_of(w, 1, column);
                const size_t top = (size_t)channel * w->in[0] + high.place;
                uint8_t largest = 0;
                for (i = 0; i < high.taps; i++) {
                    const uint8_t *code = x->bytes + (top + i * w->gap[0]) * w->in[1] + wide.place;
                    for (j = 0; j < wide.taps; j++)
                        if (code[j * w->gap[1]] > largest)
                            largest = code[j * w->gap[1]];
                }
                *result++ = largest;
            }
        }
}
