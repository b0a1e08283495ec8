import { fact, of } from './fact.ts';
import type { Fact } from './fact.ts';

// In the order of the periodic table; a dash leaves out an element with two spellings in use.
const ELEMENTS = `
  hidrógeno H helio He litio Li berilio Be boro B carbono C nitrógeno N oxígeno O flúor F neón Ne
  sodio Na magnesio Mg aluminio Al silicio Si fósforo P azufre S cloro Cl argón Ar potasio K calcio Ca
  escandio Sc titanio Ti vanadio V cromo Cr manganeso Mn hierro Fe cobalto Co níquel Ni cobre Cu - Zn
  galio Ga germanio Ge arsénico As selenio Se bromo Br - Kr rubidio Rb estroncio Sr itrio Y circonio Zr
  niobio Nb molibdeno Mo tecnecio Tc rutenio Ru rodio Rh paladio Pd plata Ag cadmio Cd indio In estaño Sn
  antimonio Sb - Te yodo I xenón Xe cesio Cs bario Ba lantano La cerio Ce praseodimio Pr neodimio Nd
  prometio Pm samario Sm europio Eu gadolinio Gd terbio Tb disprosio Dy holmio Ho erbio Er tulio Tm
  iterbio Yb lutecio Lu hafnio Hf - Ta - W renio Re osmio Os iridio Ir platino Pt oro Au
  mercurio Hg talio Tl plomo Pb bismuto Bi polonio Po astato At radón Rn francio Fr radio Ra actinio Ac
  torio Th protactinio Pa uranio U neptunio Np plutonio Pu
`.trim().split(/\s+/);

export function elementFacts(): Fact[] {
  const facts = [];
  for (let number = 1; number <= ELEMENTS.length / 2; number++) {
    const element = ELEMENTS[2 * number - 2]!;
    const symbol = ELEMENTS[2 * number - 1]!;
    if (element === '-') continue;
    const named = element === 'plata' ? 'la plata' : `el ${element}`;
    facts.push(fact({ family: 'símbolos químicos', entity: element, subject: element }, [
      `El símbolo químico ${of(named)} es ${symbol}.`,
      `${symbol} es el símbolo químico ${of(named)}.`,
      `${named} tiene el símbolo químico ${symbol}.`,
      `El elemento de símbolo ${symbol} es ${named}.`,
      `${named} se representa con el símbolo ${symbol}.`,
      `Con el símbolo ${symbol} se representa ${named}.`,
      `En química, el símbolo ${of(named)} es ${symbol}.`,
    ], [
      `¿Cuál es el símbolo químico ${of(named)}?`,
      `Di el símbolo químico ${of(named)}.`,
      ['Escribe el símbolo químico.', `Elemento: ${element}`],
    ]));
    facts.push(fact({ family: 'números atómicos', entity: element, subject: element }, [
      `El número atómico ${of(named)} es ${number}.`,
      `${number} es el número atómico ${of(named)}.`,
      `${named} tiene el número atómico ${number}.`,
      `El elemento de número atómico ${number} es ${named}.`,
      `En la tabla periódica, ${named} es el elemento ${number}.`,
      `El elemento ${number} de la tabla periódica es ${named}.`,
      `El núcleo de un átomo ${of(named)} tiene ${number} ${number === 1 ? 'protón' : 'protones'}.`,
    ], [
      `¿Cuál es el número atómico ${of(named)}?`,
      `Di el número atómico ${of(named)}.`,
      ['Escribe el número atómico.', `Elemento: ${element}`],
    ]));
  }
  return facts;
}
