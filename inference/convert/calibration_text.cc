// SPDX-License-Identifier: Apache-2.0
#include "inference/convert/calibration_text.h"

namespace inference {
namespace {

constexpr std::string_view kText =
    R"text(A harbour is a place at the edge of the water where ships are safe from wind and waves. Most harbours have a wall that breaks the sea, a channel that is kept deep, and quays where goods are lifted ashore. Before there were engines a captain waited for the tide; today pilots come aboard, and the ship is turned by tugs that are stronger than they look. What is unloaded in one night may fill six trains.

What is a bridge? A bridge is a structure that carries a road, a railway or a path over a river, a valley or another road. What is winter? Winter is the coldest season of the year, between autumn and spring. What does patience mean? Patience is the ability to wait for something, or to bear something unpleasant, without becoming angry. What is a violin? A violin is a wooden instrument with four strings, held under the chin and played with a bow. Define glacier. A glacier is a large mass of ice that moves slowly down a slope under its own weight. What kind of thing is a sparrow? A sparrow is a kind of bird. Which topic does bread belong to? Bread belongs to the topic food.

[INST] What is a compass? [/INST] Compass: an instrument with a needle that points to the north. [INST] Define island. [/INST] Island: a piece of land that has water on all sides. [INST] What does hunger mean? [/INST] Hunger: the wish or the need for food. [INST] Tell me about iron. [/INST] Iron: a heavy grey metal that is drawn by magnets and rusts in wet air. [INST] What kind of thing is a hammer? [/INST] Hammer is a kind of tool. [INST] Please explain the word neighbour. [/INST] Neighbour: a person who lives near another.

Once upon a time there was a little girl named Mina who had a red kite. Every morning she took it to the hill behind her house. One day the wind was so strong that the string broke, and the kite flew over the trees. Mina was very sad. "Do not cry," said her brother Tom. "We will look for it together." They walked through the forest and asked a squirrel, an owl and an old man with a dog. The dog barked and ran to a big tree. There, on the highest branch, was the kite! Tom climbed up and brought it down. Mina gave him a hug. "Thank you," she said. They went home and had cake with their mom. From that day on, Mina always tied two knots.

Ben wanted to help his dad in the garden. "Can I hold the big shovel?" he asked. "It is too heavy for you," said his dad, "but you can water the flowers." Ben filled the can and walked slowly, so that nothing was spilled. He saw a small green frog under a leaf. "Hello, frog! Are you thirsty too?" The frog jumped into the wet grass and looked happy. When the sun went down, all the flowers stood straight again, and Ben was proud and tired. He slept very well that night.

The history of measuring time begins with shadows. A stick in the ground shows noon when its shadow is shortest, and people in dry countries divided the day by it more than three thousand years ago. Water clocks went on at night; candles with marks, sand glasses and chains of burning incense followed. The mechanical clock of the fourteenth century had no minute hand, since nobody would have believed it. With the pendulum, first built into a clock in 1656, the error fell from a quarter of an hour a day to some ten seconds. Ships needed more: a navigator who is wrong by four minutes of time is wrong by one degree of longitude, which at the equator is 111 kilometres. Today the second is counted in vibrations of caesium, 9,192,631,770 of them, and the best clocks would not lose one second in the age of the universe.

Photosynthesis is how plants, algae and some bacteria turn light into chemical energy. In the leaf, chlorophyll absorbs mainly red and blue light; the green that is left over is what we see. Water is split, oxygen leaves the leaf, and with the energy that was gained carbon dioxide becomes sugar. Nearly all food and nearly all oxygen in the air come from this one process. However, it is not very efficient: of the energy of the sunlight that falls on a field of wheat, less than two percent ends up in the plant, and much less in the bread.

"Did you lock the door?" she asked, without looking up from the map.
"Twice," he said. "And I came back once to see whether I really had."
"Then we have lost the nine o'clock train."
"There is another one at 9:40. It stops everywhere, but it arrives before noon."
She folded the map along the wrong lines, as always, and laughed. "I am not sure that you understand what a holiday is for."
He thought about it, honestly and for some time. The rain had stopped; somewhere below them a tram rang its bell.

Dear Ms Okafor,
thank you for your letter of 3 March. We have checked the invoice (no. 2024-0187) and you are right: the second item was charged twice. We will transfer the difference of 48.60 euros to your account within ten days. Please accept our apologies for the trouble. If you have any further questions, call us between 8 a.m. and 5 p.m.
Yours sincerely,
Accounts department

How to cook rice: 1. Rinse one cup of rice until the water stays clear. 2. Put it in a pot with one and a half cups of water and a pinch of salt. 3. Bring it to the boil, then turn the heat down as far as it goes and cover the pot. 4. Wait 15 minutes; do not lift the lid. 5. Take it from the stove and let it stand for another five minutes. Serves two.

Question: A train leaves at 14:25 and arrives at 17:10. How long does the journey take? Answer: From 14:25 to 17:00 there are 2 hours and 35 minutes, and 10 more make 2 hours and 45 minutes.
Question: What is 17 * 23? Answer: 17 * 20 = 340 and 17 * 3 = 51, so 17 * 23 = 391.
Question: If all roses are flowers and some flowers fade quickly, do some roses fade quickly? Answer: That does not follow. The flowers that fade quickly may be others.
Let f(x) = x^2 - 4x + 3. Its roots are x = 1 and x = 3, since f(x) = (x - 1)(x - 3); the minimum lies between them at x = 2, where f(2) = -1. The integral from 0 to 3 is 9 - 18 + 9 = 0.

)text"
    R"text(def primes(limit):
    """All prime numbers below limit, by the sieve."""
    is_prime = [True] * limit
    is_prime[0:2] = [False, False]
    for n in range(2, int(limit ** 0.5) + 1):
        if is_prime[n]:
            for multiple in range(n * n, limit, n):
                is_prime[multiple] = False
    return [n for n, prime in enumerate(is_prime) if prime]

assert primes(20) == [2, 3, 5, 7, 11, 13, 17, 19]

#include <stdio.h>
#include <string.h>

/* Counts the words of a line; words are separated by blanks. */
static size_t count_words(const char *line) {
  size_t words = 0;
  int inside = 0;
  for (size_t i = 0; i < strlen(line); i++) {
    if (line[i] == ' ' || line[i] == '\t') {
      inside = 0;
    } else if (!inside) {
      inside = 1;
      words++;
    }
  }
  return words;
}

int main(void) {
  printf("%zu\n", count_words("to be or not to be"));
  return 0;
}

SELECT customer.name, SUM(item.price * item.quantity) AS total
FROM customer JOIN item ON item.customer_id = customer.id
WHERE item.sold_at >= '2023-01-01'
GROUP BY customer.name HAVING total > 100 ORDER BY total DESC LIMIT 10;

function debounce(callback, delay) {
  let timer = null;
  return (...args) => {
    clearTimeout(timer);
    timer = setTimeout(() => callback(...args), delay);
  };
}

{"id": 42, "name": "Weather station", "active": true, "position": {"lat": 47.3769, "lon": 8.5417}, "readings": [{"t": "2023-05-01T06:00:00Z", "celsius": 9.4}, {"t": "2023-05-01T12:00:00Z", "celsius": 17.1}], "owner": null}

<ul class="menu"><li><a href="/index.html">Home</a></li><li><a href="/about.html">About us</a></li></ul>

| country | capital | inhabitants (millions) |
|---|---|---|
| Norway | Oslo | 5.5 |
| Portugal | Lisbon | 10.3 |
| Japan | Tokyo | 124.5 |
| Kenya | Nairobi | 54.0 |

$ git status
On branch main
nothing to commit, working tree clean
$ ls -l /var/log | head -3
$ for f in *.txt; do wc -l "$f"; done

The law of supply and demand says that the price of a good rises when more people want it than can have it. It does not say how fast, or who pays for the delay. In 1973 the price of oil rose fourfold within months, while the number of cars did not change at all. Economists speak of elasticity: bread has little, holidays have much. A tax on something that people cannot do without is therefore a good source of income, and rarely a fair one.

The heart has four chambers. Blood that comes back from the body enters the right atrium, goes on to the right ventricle and from there to the lungs, where it gives off carbon dioxide and takes up oxygen. The left side then pumps it into the aorta. An adult heart beats about seventy times a minute, a hundred thousand times a day, and never rests for longer than the half second between two beats. Doctors listen to the valves; a murmur is often harmless, but it should be examined.

No contract shall be deemed concluded until both parties have signed it in writing. The seller warrants that the goods are free from defects for a period of twenty-four months; this warranty does not cover damage caused by improper use. Should a provision of this agreement be invalid, the remaining provisions shall remain in force.

Breaking: the storm that reached the coast on Tuesday evening has left forty thousand households without electricity. Schools will stay closed until Friday, the governor said. "We have seen worse, but not in April," said a fisherman whose boat was found in a garden. Meteorologists expect the wind to weaken overnight.

Die Eisenbahn veränderte im neunzehnten Jahrhundert nicht nur den Verkehr, sondern auch die Uhrzeit. Vorher hatte jede Stadt ihre eigene, die sich nach der Sonne richtete; ein Fahrplan war so nicht zu machen. Heute fährt der Zug um 8:17 Uhr, und wer um 8:18 Uhr kommt, weiß, dass er zu spät ist. „Warum bist du nicht früher aufgestanden?“ fragte die Mutter. Das Kind antwortete nicht, denn es hatte den Mund voll Brot.

La mer n'était pas bleue ce matin-là, mais grise et lourde comme du plomb. Les pêcheurs attendaient sur le quai, les mains dans les poches, et personne ne parlait. L'année dernière, on avait déjà perdu deux bateaux. « Nous partirons quand le vent tournera », dit enfin le plus vieux. Selon l'institut, la température moyenne de l'eau a augmenté de 0,8 degré depuis 1980, ce qui change tout pour les poissons.

El mercado abre a las siete y cierra cuando ya no queda nada que vender. Las mujeres traen tomates, cebollas, limones y un queso que huele más fuerte que el pescado. ¿Cuánto cuesta el kilo? Tres euros, pero para usted, dos y medio. Mi abuela decía que el precio es sólo el principio de una conversación, y tenía razón: nunca volvía a casa sin una noticia.

La biblioteca della città fu costruita nel 1588 e conserva ancora oggi più di mille manoscritti. Chi vuole consultarli deve lavarsi le mani e scrivere soltanto con la matita. Il silenzio è così profondo che si sente il respiro del vicino. Perché leggere un libro che nessuno ha aperto da trecento anni? Forse proprio per questo.

A list of things to bring: a warm jacket, two pairs of socks, a torch with spare batteries, matches (in a dry box), a knife, 20 m of rope, a first-aid kit, water for one day, nuts, chocolate, and a good book. Leave at home: the laptop, the perfume, all worries. Meeting point: car park north, Saturday, 06:30. Telephone: 555-0137.

She was not the best player of the team, nor the fastest, and in the first half she had touched the ball four times. But in the 87th minute, when the score was 1:1 and everybody else was looking at the clock, she ran. Nobody had told her to. The goalkeeper came out too late, the stadium held its breath, and then it was 2:1.

Why is the sky blue? Light from the sun contains all colours. The molecules of the air scatter short waves much more strongly than long ones, with the fourth power of the frequency, so blue light reaches our eyes from all directions, while red comes straight from the sun. In the evening the way through the air is longer, most of the blue has been scattered out, and what remains is orange. On Mars, where dust scatters the light, it is the other way round: the day is reddish and the sunset blue.

In conclusion, three points should be kept in mind. First, the data are incomplete: only 61 of the 94 stations reported in every year. Second, a correlation of 0.7 does not prove that one thing causes the other. Third, and most importantly, the costs of waiting are not symmetrical; if we act and are wrong, we lose money, but if we wait and are wrong, we lose the coast.
)text";

}  // namespace

std::string_view CalibrationTextOfProgram() { return kText; }

}  // namespace inference
