import { join } from 'node:path';
import { openCheckpoint } from '../src/checkpoint/folder.ts';
import { loadInstructions } from '../src/data/load.ts';
import type { DataOptions } from '../src/data/load.ts';
import { formatNumber } from '../src/format.ts';
import { isLinear } from '../src/model/config.ts';
import { baseSize, loadModel } from '../src/model/load.ts';
import type { BaseSize, LoadOptions } from '../src/model/load.ts';
import { dequantize, quantize } from '../src/quant/quantize.ts';
import type { QuantType } from '../src/quant/quantize.ts';
import { meanLoss, perplexity } from '../src/train/evaluate.ts';

/** Error of a 4-bit format on the model's own matrices, each relative to the matrix's σ, averaged over weights. */
export interface QuantizationError {
  readonly mae: number;
  readonly rmse: number;
}

/** A wide weight, row-major. */
interface Matrix {
  readonly shape: readonly number[];
  readonly values: Float32Array;
}

// #region error
/** How far the weights are from themselves after a trip through 4 bits. */
function quantizationError(matrices: readonly Matrix[], quantType: QuantType): QuantizationError {
  let absolute = 0;
  let square = 0;
  let count = 0;
  for (const { values, shape } of matrices) {
    const sigma = Math.sqrt(values.reduce((sum, w) => sum + w * w, 0) / values.length);
    const back = dequantize(quantize(values, shape, { quantType }));
    for (let i = 0; i < values.length; i++) {
      const error = (back[i]! - values[i]!) / sigma;
      absolute += Math.abs(error);
      square += error * error;
    }
    count += values.length;
  }
  return { mae: absolute / count, rmse: Math.sqrt(square / count) };
}
// #endregion

export interface FormatResult extends QuantizationError {
  readonly bitsPerParameter: number;
  readonly perplexity: number;
}

export interface QuantizationResult {
  readonly bf16: { readonly perplexity: number; readonly bytes: number };
  readonly types: Record<QuantType, FormatResult>;
  readonly nf4: BaseSize & { readonly bitsPerParameterWithoutDoubleQuant: number };
}

/**
 * Slide 4: what 4 bits cost. Weight error and perplexity of each format, with double quantisation, on the
 * plain statements that the base knows: the answers of every instruction, as text without a prompt.
 */
export async function quantization(
  modelDir: string, data: DataOptions, show: (line: string) => void,
): Promise<QuantizationResult> {
  const checkpoint = openCheckpoint(modelDir);
  const matrices: Matrix[] = [];
  for (const name of checkpoint.names().filter(isLinear)) {
    const loaded = checkpoint.load(name);
    if ('values' in loaded) matrices.push({ shape: loaded.shape, values: loaded.values() });
  }
  const { tokenizer, heldOut } = await loadInstructions(modelDir, data);
  // One statement a text: start token, sentence, end token; every token but the first is predicted.
  const statements = heldOut.map(({ record }) => ({
    tokens: Int32Array.from([
      tokenizer.bosId ?? tokenizer.eosId, ...tokenizer.encode(record.output), tokenizer.eosId,
    ]),
    promptLength: 1,
    record,
  }));
  const measure = async (options: LoadOptions) => {
    const model = loadModel(modelDir, options);
    const loss = await meanLoss(model, statements, tokenizer);
    const size = baseSize(model);
    model.dispose();
    return { perplexity: perplexity(loss), size };
  };
  const wide = await measure({});
  show(`bf16: perplejidad ${formatNumber(wide.perplexity, 4, true)}`);
  const types = {} as Record<QuantType, FormatResult>;
  const sizes = {} as Record<QuantType, BaseSize>;
  for (const quantType of ['nf4', 'fp4', 'int4'] as const) {
    const { perplexity, size } = await measure({ loadIn4bit: true, quantType });
    const { bitsPerParameter } = size;
    types[quantType] = { ...quantizationError(matrices, quantType), perplexity, bitsPerParameter };
    sizes[quantType] = size;
    show(`${quantType}: perplejidad ${formatNumber(perplexity, 4, true)}, `
      + `error cuadrático ${formatNumber(types[quantType].rmse, 4, true)} σ`);
  }
  const single = await measure({ loadIn4bit: true, doubleQuant: false });
  return {
    bf16: { perplexity: wide.perplexity, bytes: wide.size.bytes16 },
    types,
    nf4: { ...sizes.nf4, bitsPerParameterWithoutDoubleQuant: single.size.bitsPerParameter },
  };
}

/** The files that the result depends on. */
export function quantizationInputs(modelDir: string, data: DataOptions): string[] {
  return [join(modelDir, 'model.safetensors'), join(modelDir, 'tokenizer.json'), ...data.heldOutFiles ?? []];
}
