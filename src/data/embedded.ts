import { formatNumber } from '../format.ts';
import { Random } from '../random.ts';
import type { AlpacaRecord } from './alpaca.ts';
import { countWords, tokenizerConfig, tokenizerJson, trainBpe } from './bpe.ts';
import { alpacaPrompt } from './prompt.ts';
import { heldOutShare, splitFacts } from './split.ts';
import type { Fact } from './world/fact.ts';
import { world } from './world/index.ts';

/** The seed of everything embedded: the split, the questions chosen, their order. */
export const embeddedSeed = 42;

const TRAINING_RECORDS = 3000;
/** Questions of one family in the examination, so that none outweighs the others. */
const HELD_OUT_PER_FAMILY = 30;
const VOCABULARY_SIZE = 4096;
/** The longest text the embedded model is made for, in tokens. */
const MAX_LENGTH = 256;

export interface EmbeddedRecord extends AlpacaRecord {
  readonly family: string;
}

/**
 * The embedded instruction set: questions about the world's facts, answered in whole sentences.
 * Held-out entities (see `split.ts`) are asked about in `heldOut` alone; no fact is asked for twice.
 */
export function embeddedInstructions(): { train: EmbeddedRecord[]; heldOut: EmbeddedRecord[] } {
  const { train, heldOut } = splitFacts(world(), embeddedSeed);
  const drawn = Random.for(embeddedSeed, 'records');
  const asked = (fact: Fact): EmbeddedRecord => {
    const { instruction, input = '' } = drawn.pick(fact.questions);
    return { family: fact.family, instruction, input, output: fact.answer };
  };
  const examination = groupByFamily(drawn.shuffle(heldOut)).flatMap((facts) => facts.slice(0, HELD_OUT_PER_FAMILY));
  return {
    train: drawn.shuffle(train).slice(0, TRAINING_RECORDS).map(asked),
    heldOut: drawn.shuffle(examination).map(asked),
  };
}

/** The generated files, by their path in the project; the same bytes every time. */
export function embeddedFiles(): Map<string, string> {
  const { train, heldOut } = embeddedInstructions();
  const texts = world().flatMap((fact) =>
    [...fact.statements, ...fact.questions.map((question) => alpacaPrompt(question))]);
  const tokenizer = trainBpe(countWords(texts), VOCABULARY_SIZE);
  return new Map([
    ['assets/data/alpaca_es.json', recordsJson(train)],
    ['assets/data/heldout_es.json', recordsJson(heldOut)],
    ['assets/data/README.md', readme(train, heldOut)],
    ['assets/model/tokenizer.json', `${JSON.stringify(tokenizerJson(tokenizer))}\n`],
    ['assets/model/tokenizer_config.json', `${JSON.stringify(tokenizerConfig(MAX_LENGTH), null, 2)}\n`],
  ]);
}

/** A JSON array with one record a line. */
function recordsJson(records: readonly EmbeddedRecord[]): string {
  const lines = records.map(({ instruction, input, output }) => JSON.stringify({ instruction, input, output }));
  return `[\n${lines.join(',\n')}\n]\n`;
}

function readme(train: readonly EmbeddedRecord[], heldOut: readonly EmbeddedRecord[]): string {
  const facts = world();
  const families = [...new Set(facts.map((fact) => fact.family))];
  const count = (items: readonly { family: string }[], family: string) =>
    items.filter((item) => item.family === family).length;
  const rows = families.map((family) => {
    const example = heldOut.find((record) => record.family === family);
    return `| ${family} | ${count(facts, family)} | ${count(train, family)} | ${count(heldOut, family)} | ${example?.output ?? ''} |`;
  });
  const statements = facts.reduce((sum, fact) => sum + fact.statements.length, 0);
  return `# Datos incluidos

Generados por \`npm run data\` a partir de las tablas de \`src/data/world/\`, con la semilla ${embeddedSeed}: la misma orden
da siempre los mismos bytes. Son obra de este proyecto y llevan su licencia (MIT).

| archivo | qué es |
|---|---|
| \`alpaca_es.json\` | ${train.length} instrucciones para el ajuste, en formato Alpaca (\`instruction\`, \`input\`, \`output\`) |
| \`heldout_es.json\` | ${heldOut.length} preguntas de examen, con las que nunca se entrena |

El modelo base ha leído los ${facts.length} hechos como frases sueltas (${formatNumber(statements)} enunciados, seis o siete por hecho) y no ha
visto ninguna pregunta. Cada respuesta es, palabra por palabra, uno de esos enunciados, siempre el mismo en cada familia.

| familia | hechos | entrenamiento | examen | una respuesta del examen |
|---|---:|---:|---:|---|
${rows.join('\n')}
| **total** | **${facts.length}** | **${train.length}** | **${heldOut.length}** | |

## Cómo se reparten

El sorteo aparta el ${heldOutShare * 100} % de las *entidades*, no de las preguntas: un país, un número, una suma
(con las restas que la deshacen), una palabra (con su antónimo, si lo tiene). Por una entidad apartada no se pregunta en el entrenamiento en ninguna familia. En «orden»
se descartan además las preguntas cuya respuesta es una entidad apartada. Hay como mucho una pregunta por hecho y
${HELD_OUT_PER_FAMILY} de examen por familia.
`;
}

function groupByFamily(facts: readonly Fact[]): Fact[][] {
  const families = new Map<string, Fact[]>();
  for (const fact of facts) {
    const family = families.get(fact.family);
    if (family) family.push(fact);
    else families.set(fact.family, [fact]);
  }
  return [...families.values()];
}
