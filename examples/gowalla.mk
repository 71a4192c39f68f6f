# Gowalla by the split of LightGCN (train.txt, test.txt): the accuracy of the classical models.
#
#   make -f examples/gowalla.mk DATA=path/to/gowalla
#
# The parameters were chosen on a part cut from train, never on test; those of rp3beta are published (Anelli et al. 2023,
# "Challenging the myth of graph collaborative filtering", RecSys).
DATA ?= gowalla
OUT ?= build/gowalla
RECLI ?= recli
METRICS ?= recall@20,ndcg@20
MODELS ?= pop itemknn userknn slim rp3beta als bpr

itemknn := -p similarity=asymmetric -p k=500 -p alpha=0.2 -p shrink=5
userknn := -p similarity=tfidf -p k=200
slim := -p alpha=0.001 -p l1_ratio=0.02
rp3beta := -p k=777 -p alpha=0.5663562161452378 -p beta=0.001085447926739258 -p normalize_similarity=true
als := -p embedding_size=256 -p alpha=100 -p reg_exponent=0.5 -p reg_weight=7.5
bpr := -p epochs=60 -p neg_dynamic=true -p neg_candidate_num=32
# Not among MODELS: ease takes 16 GB of memory. Chosen of 20, 80 and 320 on the 10,000 items of most users.
ease := -p reg_weight=80

.DELETE_ON_ERROR:
.PHONY: all
all: $(MODELS:%=$(OUT)/%.metrics.json)
	$(if $(word 2,$(MODELS)),$(RECLI) compare $(MODELS:%=$(OUT)/%.recs.parquet) --metrics $(METRICS))

$(OUT)/gowalla.split.parquet: $(DATA)/train.txt $(DATA)/test.txt | $(OUT)
	$(RECLI) split --strategy given --train $(DATA)/train.txt --test $(DATA)/test.txt --format adjacency -o $@

$(OUT)/%.npz: $(OUT)/gowalla.split.parquet
	$(RECLI) train $< --model $* $($*) -o $@

$(OUT)/%.recs.parquet: $(OUT)/%.npz
	$(RECLI) recommend $< -k 20 -o $@

$(OUT)/%.metrics.json: $(OUT)/%.recs.parquet
	$(RECLI) evaluate $< --metrics $(METRICS) -o $@

$(OUT):
	mkdir -p $@

.SECONDARY:
