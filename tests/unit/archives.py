# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An archive that a real pg_dump made, for tests that need one and no server.

pg_dump 15, custom format 1.14, gzip 1, of: CREATE TABLE missions (id serial PRIMARY KEY, title text), with 60 rows.
"""

from __future__ import annotations

import base64
import zlib

MISSIONS_OID = 16413

ARCHIVE = zlib.decompress(
    base64.b85decode(
        b"c-pO2TWs4@7<RV8y3n;-H(G|c92hJqZAu*4P>Nb`ZFdcJ?9_HPs-i_s;-#jJlg2KL2ZqE|+XEUxDnfhNr15~@VL~Wq0>n!nm;@54COXC*ctVp9bOOXA;DK|F"
        b"FHO^gmWm^t6QA3EzVH9P^Pi*+G09Y*ooHzd5CH;~{ixZ2nr*1L12sX^oFKe%E3D6#Dzhb%xCefcgZ<<X2s2t%S51I>k!WvT%aXBqvS%|(ZbMc(cX{>^j;PzV"
        b"!j=_ikx2-L)^;#FWL#zykTZ16v@@ESE9G^w07gJ4t&9(a9uEePou&<O3#`Xf!_shfyU%fNLo~<{vckxU1QE#fU5qH~BC>4N%&V1rCRZ|#l`2JuDr4Cd_+ue-"
        b"C3EZ8_BF@GQW8CpqLhjHF2**5$9R@jK)H~~skUmA3jLO5V~~0w9I`aElAFntReL7X2STu706kmAdb^Lc1?eCbkKv_ce1Iftg@i)OPzp6h$*cp`gq4<9N@0OF"
        b"0i4C)NJ5za3Y$#vXm$kHTCr@XwiX4RI(z{DUZg3W&7>spaDrhaIAQ47oI8w`(fx2?1WASHLLekDRexY(_84=yWZ8v^W;J!dGO^YHgOB+Rcm!K0>XxOKOveH|"
        b"mUsC-waOolg7SRU&~yFXdJql*SoA#5O<OBy6(EQT5Yjx~hbL^^HZ<s(<8}~+kGRX@*3g*C5J$wBTE#r0spZXa{kA#R7|~I~HKXS<mNtj2%IstshRtRD#wu%X"
        b"q8_We8Iz=Bk3H_n3MDCyJV-o{5TLOnD=1)W${i9!kW2`NDL&2med_7eK26aREFhuF4tg%z0LgmiZ734#v=}*9=fJLpH@lJN_SAR|h(`pLfealN(y&sz0=2#Y"
        b"Zhv3>e7~NrmHZZn4b%~Pv8`4av3PXAS4JGCe_z#l9=|>eJ5Hr}#bNZU&&Uz4DDdkr17`s(^68|2ZUsuht`%UyTkxD}ghP!T5gHz@XoZ}iS{Ax0!*$1Pbdr-Y"
        b"oTIj`g#k|!O|;Rm%aw(ziY8ek=w%U{#PI$a1QDbUF}2=%VLjjHq>LUgE{RF_e!+(nI%BJ%-j)rzz`Hjs>b6=@!}vMuN1MG`{}$0c5RXDamHD-A*Z&~pm+GY)"
        b"_d*ei;upmCsgJ2VtG$2&LyH3Zvp^*T1#c#lO$gh`a|{DkH?Oq}Qc@yGNmGDhr%)V`grD5ZjlsHYX0^$S@ZXbKz)|jXSdRzTrHgY6+14^SefMkkr{>BxzGQcP"
        b"c;BTfe}C|M<jv&^H%`4edgAEH&7W3o%8NgPQfU6u>)(I<*~ru<-GBY@<F(P5Yt;5jZ=Zgr_w;h_TY-o2FW<TU+{v%L8GC)^fNZx;XLnZ@e`~KYyQ@rRmDy8e"
        b"_Er}kFix^pI?r5quwCccmlpQv+~^ls?x4<f>0Dgrgr$XN&POgLrhiRUFP}AfCaVhkuntre_$5~_pEurTzmv{<^j>?B>$tkmRpfRQxloaNqI;Hmw8)897mj`$"
        b"`COm=Gg^H2m6eBoxR)k>*@=1o1Mz%q(f"
    )
)
