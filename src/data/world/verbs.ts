import { wordEntity } from './antonyms.ts';
import { fact } from './fact.ts';
import type { Fact } from './fact.ts';
import { translationFact } from './nouns.ts';

// Infinitive and English (a dash where one verb does not render it), then the gerund and the
// participle where they are irregular. Verbs with two participles (freír, imprimir) are left out.
const VERBS = `
  cantar sing, bailar dance, comer eat, beber drink, dormir sleep durmiendo dormido, correr run, caminar walk,
  saltar jump, nadar swim, volar fly, leer read leyendo leído, escribir write escribiendo escrito,
  abrir open abriendo abierto, cerrar close, comprar buy, vender sell, trabajar work, jugar play, cocinar cook,
  lavar wash, limpiar clean, pintar paint, dibujar draw, estudiar study, aprender learn, enseñar teach, pensar think,
  creer believe creyendo creído, soñar dream, llorar cry, reír laugh riendo reído, sonreír smile sonriendo sonreído,
  vivir live, morir die muriendo muerto, nacer -, llegar arrive, entrar enter, salir -, subir -, bajar -,
  viajar travel, conducir drive, empezar begin, terminar finish, ganar -, perder lose, buscar -, encontrar find,
  olvidar forget, recordar remember, romper break rompiendo roto, construir build construyendo construido,
  destruir destroy destruyendo destruido, caer fall cayendo caído, oír hear oyendo oído, ver see viendo visto, mirar -,
  decir say diciendo dicho, hacer - haciendo hecho, poner put poniendo puesto, traer bring trayendo traído, ir go yendo ido,
  venir come viniendo venido, dar give dando dado, recibir receive, pedir - pidiendo pedido, servir serve sirviendo servido,
  seguir follow siguiendo seguido, repetir repeat repitiendo repetido, elegir choose eligiendo elegido,
  mentir lie mintiendo mentido, sentir feel sintiendo sentido, preferir prefer prefiriendo preferido,
  medir measure midiendo medido, vestir dress vistiendo vestido, resolver solve resolviendo resuelto,
  volver return volviendo vuelto, cubrir cover cubriendo cubierto, descubrir discover descubriendo descubierto,
  amar love, odiar hate, ayudar help, llamar call, contar -, pagar pay, costar cost, usar use, cortar cut,
  empujar push, llevar -, esperar -, escuchar listen, tocar -, besar kiss, abrazar hug, cambiar change, mover move,
  parar stop, crecer grow, morder bite, enviar send, explicar explain, permitir allow, prohibir forbid, mostrar show,
  ocultar hide, defender defend, atacar attack, gritar shout, respirar breathe, descansar rest, invitar invite,
  celebrar celebrate, preparar prepare, visitar visit, decidir decide, existir exist, sufrir suffer, añadir add,
  dividir divide, ofrecer offer, obedecer obey, desaparecer disappear, aparecer appear, conocer -, producir produce,
  traducir translate, nevar snow, llover rain, robar steal, mezclar mix, plantar plant, saludar greet, firmar sign,
  huir flee huyendo huido, reunir -, cuidar -, aceptar accept, rechazar reject, castigar punish, comparar compare,
  copiar copy, describir describe describiendo descrito, devolver - devolviendo devuelto, despedir - despidiendo despedido
`.trim().split(/,\s+/).map((entry) => entry.split(' '));

function regularGerund(verb: string): string {
  return verb.replace(/ar$/, 'ando').replace(/[ei]r$/, 'iendo');
}

function regularParticiple(verb: string): string {
  return verb.replace(/ar$/, 'ado').replace(/[ei]r$/, 'ido');
}

/** Gerunds and participles of Spanish verbs, and their translation. */
export function verbFacts(): Fact[] {
  return VERBS.flatMap(([verb, english, irregularGerund, irregularParticiple]) => {
    const facts = (['gerundio', 'participio'] as const).map((form) => {
      const word = form === 'gerundio'
        ? irregularGerund ?? regularGerund(verb!)
        : irregularParticiple ?? regularParticiple(verb!);
      return fact({ family: `${form}s`, entity: wordEntity(verb!), subject: verb! }, [
        `El ${form} de ${verb} es ${word}.`,
        `${word} es el ${form} de ${verb}.`,
        `El verbo ${verb} tiene por ${form} ${word}.`,
        `La forma ${word} es el ${form} de ${verb}.`,
        `El verbo ${verb}, en ${form}, es ${word}.`,
        `En ${form}, ${verb} se convierte en ${word}.`,
      ], [
        `¿Cuál es el ${form} de ${verb}?`,
        `Di el ${form} de ${verb}.`,
        [`Escribe el ${form}.`, `Verbo: ${verb}`],
      ]);
    });
    return english === '-' ? facts : [...facts, translationFact(verb!, `to ${english}`)];
  });
}
